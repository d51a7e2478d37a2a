"""Prices in the admin. A price is never changed: staff sets a new version, or follows the lists."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing import prices
from billing.admin_lists import MoneyAdmin
from billing.models import Price
from billing.prices import Rates


class PriceForm(forms.ModelForm[Price]):
    """A new version. Micro-USD for a million tokens: 150000 is $0.15."""

    class Meta:
        model = Price
        fields = ["model", *Rates.__dataclass_fields__]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        for name in Rates.__dataclass_fields__:
            rate = found.get(name)
            most = prices.most_of(name)
            if rate is not None and not 0 <= rate <= most:
                self.add_error(
                    name, gettext("Between 0 and %(most)s micro-USD.") % {"most": f"{most:,}"}
                )
        return found


@admin.action(description=_("Let the lists count again"), permissions=["set_price"])
def follow_lists(
    model_admin: admin.ModelAdmin[Price], request: HttpRequest, chosen: QuerySet[Price]
) -> None:
    for model in sorted(set(chosen.values_list("model", flat=True))):
        if price := prices.follow_lists(model):
            said = gettext("%(model)s: version %(version)d is what the list said last.") % {
                "model": model,
                "version": price.version,
            }
            model_admin.message_user(request, said, messages.SUCCESS)
        else:
            said = gettext("%(model)s: staff has set nothing, or no list knows it.") % {
                "model": model
            }
            model_admin.message_user(request, said, messages.WARNING)


@admin.register(Price)
class PriceAdmin(MoneyAdmin):
    form = PriceForm
    list_display = [
        "model",
        "version",
        "valid_from",
        "source",
        "input_micro_usd",
        "cached_input_micro_usd",
        "output_micro_usd",
        "reasoning_micro_usd",
        "per_request_micro_usd",
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

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        """Hands it to billing/prices.py, and gives the admin what came of it."""
        assert isinstance(request.user, User)
        rates = Rates(**{name: form.cleaned_data[name] for name in Rates.__dataclass_fields__})
        made = prices.set_by_staff(obj.model, rates, request.user.id)
        obj.pk, obj.version = made.pk, made.version
