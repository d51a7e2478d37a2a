"""Prices in the admin. Staff never edits a price: it adds a version, or follows the lists again."""

from dataclasses import replace
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.admin.lists import MoneyAdmin, money, when
from billing.models import Price
from billing.money import dollars
from billing.prices import versions as prices
from billing.prices.versions import Rates

PER_MILLION = _("Micro-USD per million tokens: 150000 is $0.15.")
PER_PIECE = _("Micro-USD each: 10000 is a cent.")


class PriceForm(forms.ModelForm[Price]):
    """Adds a version of a price."""

    is_certain = forms.BooleanField(
        label=_("This large change is intended"),
        help_text=_("Required when a price changes tenfold."),
        required=False,
    )

    class Meta:
        model = Price
        fields = ["model", *Rates.__dataclass_fields__]
        help_texts: ClassVar = {
            "model": _("The id that people use. The new version applies from the next answer on."),
            "input_micro_usd": PER_MILLION,
            "output_micro_usd": PER_MILLION,
            "cached_input_micro_usd": _("As above. Empty: the price of input."),
            "cache_write_micro_usd": _("As above. Empty: the price of input."),
            "reasoning_micro_usd": _("As above. Empty: the price of output."),
            "image_micro_usd": PER_PIECE,
            "image_input_micro_usd": _("As above. Empty: the price of input."),
            "image_output_micro_usd": _("As above. Empty: the price of output."),
            "audio_micro_usd": _("As above. Empty or 0: the price of input."),
            "audio_output_micro_usd": _("As above. Empty: the price of output."),
            "sound_micro_usd": _(
                "Micro-USD per million milliseconds of sound that is written down: 100000 is "
                "$0.006 a minute."
            ),
            "character_micro_usd": _(
                "Micro-USD per million characters that are read aloud: 15000000 is $15."
            ),
            "per_request_micro_usd": PER_PIECE,
            "prompt_limit_tokens": _("The longest prompt allowed on credit. Empty: any length."),
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in Rates.__dataclass_fields__:
            rate = cleaned.get(name)
            most = prices.most_of(name)
            if rate is not None and not 0 <= rate <= most:
                self.add_error(
                    name, gettext("Between 0 and %(most)s micro-USD.") % {"most": f"{most:,}"}
                )
        if not self.errors and not cleaned["is_certain"]:
            self._confirm_jumps(cleaned)
        return cleaned

    def _confirm_jumps(self, cleaned: dict[str, Any]) -> None:
        """Ask for confirmation of large changes, which may be a zero too many or too few."""
        before = prices.current(cleaned["model"])
        jumps = prices.jumps_of(prices.rates_of(before), rates_in(cleaned)) if before else []
        for name in jumps:
            error = gettext("It is %(was)s now and would be %(becomes)s. Confirm it below.") % {
                "was": dollars(getattr(before, name)),
                "becomes": dollars(cleaned[name]),
            }
            self.add_error(name, error)


def rates_in(fields: dict[str, Any]) -> Rates:
    return Rates(**{name: fields[name] for name in Rates.__dataclass_fields__})


@admin.action(description=_("Follow the lists again"), permissions=["set_price"])
def follow_lists(
    model_admin: admin.ModelAdmin[Price], request: HttpRequest, chosen: QuerySet[Price]
) -> None:
    for model in sorted(set(chosen.values_list("model", flat=True))):
        if price := prices.follow_lists(model):
            message = gettext("%(model)s: version %(version)d is the last price of the list.") % {
                "model": model,
                "version": price.version,
            }
            model_admin.message_user(request, message, messages.SUCCESS)
        else:
            message = gettext("%(model)s: staff has not set a price, or no list has one.") % {
                "model": model
            }
            model_admin.message_user(request, message, messages.WARNING)


@admin.register(Price)
class PriceAdmin(MoneyAdmin):
    form = PriceForm
    list_display = [
        "model",
        "version",
        money("input_micro_usd", _("input, 1M")),
        money("cached_input_micro_usd", _("cached, 1M")),
        money("output_micro_usd", _("output, 1M")),
        money("reasoning_micro_usd", _("reasoning, 1M")),
        money("per_request_micro_usd", _("a request")),
        "source",
        "jump",
        when("valid_from", _("valid from")),
    ]
    list_filter = ["source", "valid_from"]
    search_fields = ["model"]
    date_hierarchy = "valid_from"
    ordering = ["-valid_from", "model"]
    actions = [follow_lists]
    person_field = "staff_id"
    csv_order = "id"
    csv_fields = ["model", "version", "valid_from", "source", *Rates.__dataclass_fields__]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_set_price_permission(request)

    def has_set_price_permission(self, request: HttpRequest) -> bool:
        may: bool = request.user.has_perm("billing.set_price")
        return may

    def get_fields(self, request: HttpRequest, obj: Price | None = None) -> Any:
        """Leaves the confirmation out of the page of an existing price."""
        fields = super().get_fields(request, obj)
        return [name for name in fields if obj is None or name != "is_certain"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        before = Price.objects.filter(model=OuterRef("model"), version=OuterRef("version") - 1)
        rows: QuerySet[Price] = super().get_queryset(request)
        return rows.annotate(
            **{f"old_{name}": Subquery(before.values(name)[:1]) for name in prices.JUMPING}
        )

    @admin.display(description=_("jump"))
    def jump(self, price: Price) -> str:
        """Rates that changed tenfold since the version before, perhaps by a list's mistake."""
        old = {name: getattr(price, f"old_{name}") for name in prices.JUMPING}
        if None in old.values():
            return ""
        now = prices.rates_of(price)
        jumps = prices.jumps_of(replace(now, **old), now)
        return ", ".join(f"{dollars(old[name])} → {dollars(getattr(now, name))}" for name in jumps)

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        """Add the version, and pass the stored row to the admin."""
        assert isinstance(request.user, User)
        price = prices.set_by_staff(obj.model, rates_in(form.cleaned_data), request.user.id)
        message = gettext(
            "From the next call on, %(model)s costs %(read)s per million tokens read and "
            "%(written)s per million written, whatever the lists say."
        ) % {
            "model": price.model,
            "read": dollars(price.input_micro_usd),
            "written": dollars(price.output_micro_usd),
        }
        self.message_user(request, message)
        obj.pk, obj.version = price.pk, price.version
