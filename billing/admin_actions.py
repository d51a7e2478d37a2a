"""Acts of staff in the admin: choose rows, say how much and why, look at it once more, do it."""

import uuid
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing import staff
from billing.errors import KeyReused
from billing.models import Purse, TopUp
from billing.money import MICRO_PER_CENT, MICRO_PER_USD, dollars
from billing.stripe_errors import PaymentError

# More at once is likely a slip of the hand.
MAX_ROWS = 100


class ActForm(forms.Form):
    """`act` names this filling in of the form: sent twice, it is done once."""

    act = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    amount = forms.DecimalField(
        label=_("Amount in USD"), max_digits=10, decimal_places=2, widget=forms.TextInput
    )
    reason = forms.CharField(
        max_length=staff.MAX_REASON_CHARS,
        help_text=_("Kept in the ledger with your name; the person can read the reason."),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )


class AdjustForm(ActForm):
    def __init__(self, *args: Any, limited: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limited = limited
        most = dollars(settings.STAFF_GIVES_AT_MOST_MICRO_USD)
        a_day = dollars(settings.STAFF_GIVES_A_DAY_MICRO_USD)
        self.fields["amount"].help_text = (
            gettext("For each person, up to %(most)s; in 24 hours %(a_day)s in all.")
            % {"most": most, "a_day": a_day}
            if limited
            else gettext("For each person; −5 takes $5.00.")
        )

    def clean_amount(self) -> Decimal:
        amount: Decimal = self.cleaned_data["amount"]
        most = Decimal(settings.STAFF_GIVES_AT_MOST_MICRO_USD) / MICRO_PER_USD
        if not amount:
            raise forms.ValidationError(gettext("Say how much."))
        if self.limited and not 0 < amount <= most:
            raise forms.ValidationError(
                gettext("You may give up to %(most)s, and take nothing.") % {"most": f"${most:.2f}"}
            )
        return amount


class RefundForm(ActForm):
    def __init__(self, *args: Any, left_cents: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.left_cents = left_cents
        self.fields["amount"].help_text = gettext(
            "Of each payment, fee included: at most %(most)s. "
            "The credit it bought is taken back in its share."
        ) % {"most": dollars(left_cents * MICRO_PER_CENT)}
        self.fields["reason"].help_text = gettext(
            "Kept in the ledger and with Stripe, with your name; the person can read the reason."
        )

    def clean_amount(self) -> Decimal:
        amount: Decimal = self.cleaned_data["amount"]
        if not 0 < amount * 100 <= self.left_cents:
            raise forms.ValidationError(
                gettext("More than is left of one of these payments, or nothing.")
            )
        return amount


@admin.action(description=_("Give or take credit…"), permissions=["give_credit"])
def change_credit(
    model_admin: admin.ModelAdmin[Purse], request: HttpRequest, purses: QuerySet[Purse]
) -> TemplateResponse | None:
    limited = not request.user.has_perm("billing.adjust_credit")

    def act(purse: Purse, form: forms.Form) -> None:
        staff.adjust(
            purse.person_id,
            int(form.cleaned_data["amount"] * MICRO_PER_USD),
            act_id=form.cleaned_data["act"],
            reason=form.cleaned_data["reason"],
            staff_id=_staff_id(request),
            limited=limited,
        )

    def build(data: Any) -> AdjustForm:
        return AdjustForm(data, limited=limited)

    rows = list(purses[: MAX_ROWS + 1])
    names = [f"{_person(purse)}: {dollars(purse.balance_micro_usd)}" for purse in rows]
    title = gettext("Give or take credit")
    return _ask(model_admin, request, "change_credit", title, rows, names, build, act)


@admin.action(description=_("Refund by Stripe…"), permissions=["refund_payment"])
def refund(
    model_admin: admin.ModelAdmin[TopUp], request: HttpRequest, top_ups: QuerySet[TopUp]
) -> TemplateResponse | None:
    rows = list(top_ups[: MAX_ROWS + 1])

    def act(top_up: TopUp, form: forms.Form) -> None:
        cents = int(form.cleaned_data["amount"] * 100)
        act_id = uuid.uuid5(form.cleaned_data["act"], str(top_up.id))
        staff.refund(
            top_up,
            cents,
            act_id=act_id,
            reason=form.cleaned_data["reason"],
            staff_id=_staff_id(request),
        )

    def build(data: Any) -> RefundForm:
        left = min((_left_cents(top_up) for top_up in rows), default=0)
        return RefundForm(data, left_cents=left)

    names = [
        gettext("%(person)s: %(paid)s, %(left)s not refunded")
        % {
            "person": _person(top_up),
            "paid": dollars(top_up.total_micro_usd),
            "left": dollars(_left_cents(top_up) * MICRO_PER_CENT),
        }
        for top_up in rows
    ]
    return _ask(
        model_admin, request, "refund", gettext("Refund by Stripe"), rows, names, build, act
    )


def _person(row: Any) -> str:
    return str(row.email or row.person_id)


def _left_cents(top_up: TopUp) -> int:
    return top_up.total_cents - top_up.refunded_cents if top_up.state == TopUp.State.PAID else 0


def _staff_id(request: HttpRequest) -> uuid.UUID:
    assert isinstance(request.user, User)
    return request.user.id


def _ask(
    model_admin: Any,
    request: HttpRequest,
    action: str,
    title: str,
    rows: list[Any],
    names: list[str],
    build: Callable[[Any], ActForm],
    act: Callable[[Any, forms.Form], None],
) -> TemplateResponse | None:
    """The form; then the same, filled in, to be confirmed; then the act for each row."""
    if len(rows) > MAX_ROWS:
        said = gettext("Choose at most %(most)d at once.") % {"most": MAX_ROWS}
        model_admin.message_user(request, said, messages.ERROR)
        return None
    form = build(request.POST if "asked" in request.POST else None)
    filled = form.is_valid()
    if filled and "confirmed" in request.POST:
        _act_on_each(model_admin, request, rows, lambda row: act(row, form))
        return None
    context = {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "rows": [(row.pk, name) for row, name in zip(rows, names, strict=True)],
        "form": form,
        "filled": filled,
        "total": form.cleaned_data["amount"] * len(rows) if filled else None,
        "action": action,
        "checkbox": ACTION_CHECKBOX_NAME,
        "opts": model_admin.model._meta,
    }
    return TemplateResponse(request, "admin/billing/act.html", context)


def _act_on_each(
    model_admin: Any, request: HttpRequest, rows: Iterable[Any], act: Callable[[Any], None]
) -> None:
    done = 0
    for row in rows:
        try:
            act(row)
            done += 1
        except (staff.NotAllowed, PaymentError) as error:
            model_admin.message_user(request, f"{row}: {error}", messages.ERROR)
        except KeyReused:
            # Gone back to in the browser, changed, and sent again.
            said = gettext(
                "%(row)s: this form was done before, with another amount. Begin a new one."
            ) % {"row": row}
            model_admin.message_user(request, said, messages.ERROR)
    said = gettext("Done for %(count)d.") % {"count": done}
    model_admin.message_user(request, said, messages.SUCCESS)
