"""Versioned prices of models (billing/prices/versions.py)."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Price(models.Model):
    """The rates of a model, from `valid_from` until the next version. Append-only.

    Token rates are micro-USD per million tokens; `image` and `per_request` are micro-USD each.
    Where a rate is NULL, cache reads and writes, audio and tokens of pictures cost as much as other
    tokens of input or output, reasoning as much as output, and images nothing. `sound` is for a
    million milliseconds that are written down, `character` for a million characters that are read
    aloud.
    """

    class Source(models.TextChoices):
        OPENROUTER = "openrouter", _("OpenRouter's list")
        GENAI_PRICES = "genai-prices", _("the table of genai-prices")
        STAFF = "staff", _("staff")
        SETTINGS = "settings", _("the settings")

    model = models.CharField(max_length=200)
    version = models.PositiveIntegerField()
    valid_from = models.DateTimeField()
    source = models.CharField(max_length=16, choices=Source)
    # The member of staff who set the price; NULL if it comes from a list.
    staff_id = models.UUIDField(null=True, blank=True)
    input_micro_usd = models.BigIntegerField()
    output_micro_usd = models.BigIntegerField()
    cached_input_micro_usd = models.BigIntegerField(null=True, blank=True)
    reasoning_micro_usd = models.BigIntegerField(null=True, blank=True)
    image_micro_usd = models.BigIntegerField(null=True, blank=True)
    audio_micro_usd = models.BigIntegerField(null=True, blank=True)
    per_request_micro_usd = models.BigIntegerField(default=0)
    # Input that the provider also writes to its cache. The column type checks the sign: for a
    # constraint SQLite would rebuild the table and lose the triggers.
    cache_write_micro_usd = models.PositiveBigIntegerField(null=True, blank=True)
    # Likewise.
    sound_micro_usd = models.PositiveBigIntegerField(null=True, blank=True)
    # Tokens of pictures, that are read and that are made. NULL: as much as other tokens.
    image_input_micro_usd = models.PositiveBigIntegerField(null=True, blank=True)
    image_output_micro_usd = models.PositiveBigIntegerField(null=True, blank=True)
    character_micro_usd = models.PositiveBigIntegerField(null=True, blank=True)
    # Tokens of sound that is made. NULL: as much as other tokens of output.
    audio_output_micro_usd = models.PositiveBigIntegerField(null=True, blank=True)
    # The provider charges more for longer prompts, so on credit prompts end here.
    prompt_limit_tokens = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "version"], name="price_version_once"),
            models.CheckConstraint(
                condition=Q(input_micro_usd__gte=0)
                & Q(output_micro_usd__gte=0)
                & Q(per_request_micro_usd__gte=0)
                & (Q(cached_input_micro_usd=None) | Q(cached_input_micro_usd__gte=0))
                & (Q(reasoning_micro_usd=None) | Q(reasoning_micro_usd__gte=0))
                & (Q(image_micro_usd=None) | Q(image_micro_usd__gte=0))
                & (Q(audio_micro_usd=None) | Q(audio_micro_usd__gte=0)),
                name="price_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} v{self.version}"
