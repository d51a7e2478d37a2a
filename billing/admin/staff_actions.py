"""Staff actions in the admin: choose rows, enter amount and reason, confirm.

Each step shows the chosen people with their credit before and after.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin import person_page
from accounts.models import User
from billing.admin import staff
from billing.errors import KeyReused
from billing.models import Purse, TopUp
from billing.money import MICRO_PER_CENT, MICRO_PER_USD, dollars
from billing.payments.stripe_errors import PaymentError

# A larger selection is probably a mistake.
MAX_ROWS = 100


class StaffActionForm(forms.Form):
    """`act` is the id of the action, so that a form sent twice acts once."""

    act = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    amount = forms.DecimalField(
        label=_("Amount in USD"), max_digits=10, decimal_places=2, widget=forms.TextInput
    )
    reason = forms.CharField(
        max_length=staff.MAX_REASON_CHARS,
        help_text=_("Kept in the ledger with your name; the person can read the reason."),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )

    @property
    def amount_micro_usd(self) -> int:
        return int(self.cleaned_data["amount"] * MICRO_PER_USD)


@dataclass(frozen=True, slots=True)
class StaffAction:
    """An action on chosen rows. `action` is its name in the admin's list of actions.

    head   column names after the person: (current state, state after the action)
    cells  (row, amount per row in micro-USD, or None for the current state only) -> cells of a row
    build  (POST data or None) -> the form
    do     (row, valid form) carries it out; raises StaffActionRefused, PaymentError or KeyReused
    signed whether amounts are shown with a sign
    """

    action: str
    title: str
    rows: list[Any]
    head: tuple[list[str], list[str]]
    cells: Callable[[Any, int | None], list[str]]
    build: Callable[[Any], StaffActionForm]
    do: Callable[[Any, StaffActionForm], None]
    signed: bool = False


class AdjustForm(StaffActionForm):
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
            raise forms.ValidationError(gettext("Enter an amount."))
        if self.limited and not 0 < amount <= most:
            raise forms.ValidationError(
                gettext("You can give up to %(most)s, and can't take any.")
                % {"most": f"${most:.2f}"}
            )
        return amount


class RefundForm(StaffActionForm):
    def __init__(self, *args: Any, left_cents: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.left_cents = left_cents
        self.fields["amount"].help_text = gettext(
            "For each payment, fee included: at most %(most)s. "
            "The same share of its credit is taken back."
        ) % {"most": dollars(left_cents * MICRO_PER_CENT)}
        self.fields["reason"].help_text = gettext(
            "Kept in the ledger and with Stripe, with your name; the person can read the reason."
        )

    def clean_amount(self) -> Decimal:
        amount: Decimal = self.cleaned_data["amount"]
        if not 0 < amount * 100 <= self.left_cents:
            raise forms.ValidationError(
                gettext("Enter more than zero, and no more than is left of each payment.")
            )
        return amount


@admin.action(description=_("Give or take credit…"), permissions=["give_credit"])
def change_credit(
    model_admin: Any, request: HttpRequest, chosen: QuerySet[Any]
) -> HttpResponseBase | None:
    """Works on purses and on people: both have the person's id as key, and an address."""
    limited = not request.user.has_perm("billing.adjust_credit")
    rows = list(chosen[: MAX_ROWS + 1])
    purses = Purse.objects.filter(pk__in=[row.pk for row in rows])
    balances = dict(purses.values_list("pk", "balance_micro_usd"))

    def cells(row: Any, amount: int | None) -> list[str]:
        now = balances.get(row.pk, 0)
        after = [] if amount is None else [dollars(amount, sign=True), dollars(now + amount)]
        return [dollars(now), *after]

    def do(row: Any, form: StaffActionForm) -> None:
        staff.adjust(
            row.pk,
            form.amount_micro_usd,
            action_id=form.cleaned_data["act"],
            reason=form.cleaned_data["reason"],
            staff_id=_staff_id(request),
            limited=limited,
        )

    action = StaffAction(
        "change_credit",
        gettext("Give or take credit"),
        rows,
        ([gettext("Credit")], [gettext("Change"), gettext("After it")]),
        cells,
        lambda data: AdjustForm(data, limited=limited),
        do,
        signed=True,
    )
    return _confirm(model_admin, request, action)


@admin.action(description=_("Refund by Stripe…"), permissions=["refund_payment"])
def refund(
    model_admin: Any, request: HttpRequest, chosen: QuerySet[TopUp]
) -> HttpResponseBase | None:
    rows = list(chosen[: MAX_ROWS + 1])
    left = min(map(_left_cents, rows), default=0)
    if left <= 0:
        error = gettext("Choose payments that have not been refunded in full.")
        model_admin.message_user(request, error, messages.ERROR)
        return None
    purses = Purse.objects.filter(pk__in=[row.person_id for row in rows])
    balances = dict(purses.values_list("pk", "balance_micro_usd"))

    def cells(row: TopUp, amount: int | None) -> list[str]:
        paid, back = dollars(row.total_micro_usd), dollars(row.refunded_cents * MICRO_PER_CENT)
        now = [paid, back]
        if amount is None:
            return now
        cents = amount // MICRO_PER_CENT
        taken = row.share_micro_usd(row.refunded_cents + cents)
        taken -= row.share_micro_usd(row.refunded_cents)
        left = balances.get(row.person_id, 0) - taken
        return [*now, dollars(amount), dollars(-taken), dollars(left)]

    def do(row: TopUp, form: StaffActionForm) -> None:
        staff.refund(
            row,
            form.amount_micro_usd // MICRO_PER_CENT,
            action_id=uuid.uuid5(form.cleaned_data["act"], str(row.id)),
            reason=form.cleaned_data["reason"],
            staff_id=_staff_id(request),
        )

    action = StaffAction(
        "refund",
        gettext("Refund by Stripe"),
        rows,
        (
            [gettext("Paid"), gettext("Refunded before")],
            [gettext("Refund now"), gettext("Change of credit"), gettext("After it")],
        ),
        cells,
        lambda data: RefundForm(data, left_cents=left),
        do,
    )
    return _confirm(model_admin, request, action)


def _person(row: Any) -> str:
    return str(row.email or gettext("without an address"))


def _left_cents(top_up: TopUp) -> int:
    return top_up.total_cents - top_up.refunded_cents if top_up.state == TopUp.State.PAID else 0


def _staff_id(request: HttpRequest) -> uuid.UUID:
    assert isinstance(request.user, User)
    return request.user.id


def _confirm(
    model_admin: Any, request: HttpRequest, action: StaffAction
) -> TemplateResponse | None:
    """Show the form; then show it for confirmation; then act on each row and return None."""
    if not action.rows:
        model_admin.message_user(request, gettext("These rows no longer exist."), messages.ERROR)
        return None
    if len(action.rows) > MAX_ROWS:
        error = gettext("Choose at most %(most)d at once.") % {"most": MAX_ROWS}
        model_admin.message_user(request, error, messages.ERROR)
        return None
    form = action.build(request.POST if "asked" in request.POST else None)
    filled = form.is_valid() and "back" not in request.POST
    if filled and "confirmed" in request.POST:
        _apply_to_each(model_admin, request, action, form)
        return None
    amount = form.amount_micro_usd if filled else None
    head = [*action.head[0], *(action.head[1] if filled else [])]
    context = {
        **model_admin.admin_site.each_context(request),
        "title": action.title,
        "head": head,
        "rows": [
            (row.pk, _person(row), list(zip(head, action.cells(row, amount), strict=True)))
            for row in action.rows
        ],
        "form": form,
        "filled": filled,
        "each": dollars(amount or 0, sign=action.signed),
        "sum": dollars((amount or 0) * len(action.rows), sign=action.signed),
        "action": action.action,
        "checkbox": ACTION_CHECKBOX_NAME,
        "opts": model_admin.model._meta,
        **person_page.origin(request, model_admin.model._meta.label_lower.replace(".", "_")),
    }
    return TemplateResponse(request, "admin/billing/action.html", context)


def _apply_to_each(
    model_admin: Any, request: HttpRequest, action: StaffAction, form: StaffActionForm
) -> None:
    done = 0
    for row in action.rows:
        try:
            action.do(row, form)
            done += 1
        except (staff.StaffActionRefused, PaymentError) as error:
            model_admin.message_user(request, f"{_person(row)}: {error}", messages.ERROR)
        except KeyReused:
            # The person went back in the browser, changed the amount, and sent the form again.
            message = gettext(
                "%(row)s: this form was used before, with another amount. Begin a new one."
            ) % {"row": _person(row)}
            model_admin.message_user(request, message, messages.ERROR)
    if done:
        message = gettext("Done for %(count)d.") % {"count": done}
        model_admin.message_user(request, message, messages.SUCCESS)
