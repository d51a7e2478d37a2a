"""Usage of models: tokens and cost of each call."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.prices import Price


class Usage(models.Model):
    """Tokens and cost of one call of a model: an attempt at an answer, or a background call.

    Append-only. `cost_micro_usd` is the cost of the call; `charged_micro_usd` is the part that the
    person paid: nothing for a free call, and never more than was held.
    """

    class Free(models.TextChoices):
        LOCAL = "local", _("a local model")
        OWN_KEY = "own_key", _("the person's own key")
        HOUSE = "house", _("the operator pays")

    class Purpose(models.TextChoices):
        ANSWER = "answer", _("an answer")
        TITLE = "title", _("the title of a chat")
        TRANSCRIPTION = "transcription", _("a transcript of sound")
        SPEECH = "speech", _("an answer read aloud")

    # "answer:<reply>:<attempt>", "title:<reply>", "transcription:<file>:<run>:<piece>" or
    # "speech:<file>:<run>:<piece>"; the charge in the ledger has the same key.
    key = models.CharField(max_length=200, unique=True)
    person_id = models.UUIDField()
    purpose = models.CharField(max_length=16, choices=Purpose)
    chat_id = models.UUIDField(null=True, blank=True)
    reply_id = models.UUIDField(null=True, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    model = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)
    # In UTC.
    day = models.DateField()
    prompt_tokens = models.BigIntegerField()
    completion_tokens = models.BigIntegerField()
    # Parts of the prompt and of the completion.
    cached_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    # Part of the prompt; NULL is 0. Has no default, so that SQLite need not rebuild the table.
    cache_write_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    # Likewise tokens of sound, and the length of a sound that was written down.
    audio_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    sound_ms = models.PositiveBigIntegerField(null=True, blank=True)
    # Tokens of pictures: parts of the completion and of the prompt; NULL is 0.
    image_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    image_input_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    # Likewise of sound that was made, a part of the completion.
    audio_output_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    # The characters of a text that was read aloud.
    characters = models.PositiveBigIntegerField(null=True, blank=True)
    # The provider gave no usable count; the tokens are our estimate.
    estimated = models.BooleanField(default=False)
    cost_micro_usd = models.BigIntegerField()
    # Whether the cost is the provider's figure rather than tokens times price.
    cost_by_provider = models.BooleanField(default=False)
    charged_micro_usd = models.BigIntegerField()
    # Why the call was not charged; empty if it was.
    free = models.CharField(max_length=8, choices=Free, blank=True)
    price = models.ForeignKey(
        Price, null=True, blank=True, on_delete=models.PROTECT, related_name="usage"
    )

    class Meta:
        verbose_name_plural = "usage"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(prompt_tokens__gte=0)
                & Q(completion_tokens__gte=0)
                & Q(cached_tokens__gte=0)
                & Q(reasoning_tokens__gte=0),
                name="usage_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(charged_micro_usd__gte=0, charged_micro_usd__lte=F("cost_micro_usd")),
                name="usage_charged_at_most_cost",
            ),
            models.CheckConstraint(
                condition=Q(free="", price__isnull=False) | (~Q(free="") & Q(charged_micro_usd=0)),
                name="usage_charged_or_free",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["person_id", "day"], name="usage_of_person"),
            models.Index(fields=["chat_id"], name="usage_of_chat"),
            models.Index(fields=["reply_id"], name="usage_of_reply"),
            models.Index(fields=["day", "model"], name="usage_by_day"),
        ]

    def __str__(self) -> str:
        return self.key
