"""Money and usage. Whole micro-USD everywhere: a millionth of a dollar, no fractions, no floats.

What makes the books right is in the database (migrations initial and guards), for whoever is
connected to it: entries, prices and usage are never changed, deleted or put in another's place; an
entry must follow from the one before it; a purse can show no balance but that of its last entry and
no other held sum than that of its open holds; no hold is made or raised beyond the balance; a
charge is drawn from a hold; what is given once in a life is one entry.
A change of these tables that makes SQLite rebuild one (AlterField, ...) must make its triggers
again.
"""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from billing.models.prices import Price


class Purse(models.Model):
    """One person's credit, and the row to lock before anything of it changes.

    `person_id` is no relation: what was booked outlives the person. Both sums are kept by triggers
    of the database; nothing in Python writes them.
    """

    person_id = models.UUIDField(primary_key=True, editable=False)
    balance_micro_usd = models.BigIntegerField(default=0)
    held_micro_usd = models.BigIntegerField(default=0)
    # How many entries there are: the number of the last one.
    entries = models.PositiveBigIntegerField(default=0)
    # Since when too little is left to be of use; None while there is more (billing/grants.py).
    zero_since = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(held_micro_usd__gte=0), name="purse_held_not_below_0"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["zero_since"],
                condition=Q(zero_since__isnull=False),
                name="purse_at_zero",
            )
        ]

    def __str__(self) -> str:
        return gettext("purse of %(person)s") % {"person": self.person_id}

    @property
    def available_micro_usd(self) -> int:
        """What a new hold may take; below zero when money that was spent was taken back."""
        return self.balance_micro_usd - self.held_micro_usd


class Hold(models.Model):
    """Credit put aside for a call whose cost is not known yet. At most one is open for a key.

    Charges are drawn from it; at the end what is left goes back and it is closed for good.
    """

    class State(models.TextChoices):
        OPEN = "open", _("open")
        CLOSED = "closed", _("closed")

    # "answer:<reply>" or "title:<reply>".
    key = models.CharField(max_length=100)
    purse = models.ForeignKey(
        Purse, on_delete=models.PROTECT, db_column="person_id", related_name="holds"
    )
    amount_micro_usd = models.BigIntegerField()
    # What was drawn from it so far.
    charged_micro_usd = models.BigIntegerField(default=0)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    model = models.CharField(max_length=200)
    price = models.ForeignKey(Price, on_delete=models.PROTECT, related_name="holds")
    reply_id = models.UUIDField(null=True, blank=True)
    chat_id = models.UUIDField(null=True, blank=True)
    # The attempt it was last raised for; 0 from the order until a worker begins.
    attempt = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["key"], condition=Q(state="open"), name="hold_open_once_for_a_key"
            ),
            models.CheckConstraint(
                condition=Q(amount_micro_usd__gte=0, charged_micro_usd__gte=0),
                name="hold_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(state="open") | Q(amount_micro_usd=0), name="hold_closed_is_empty"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["purse"], condition=Q(state="open"), name="hold_open_of_purse"),
            models.Index(fields=["updated_at"], condition=Q(state="open"), name="hold_open_oldest"),
            models.Index(fields=["reply_id"], name="hold_of_reply"),
        ]

    def __str__(self) -> str:
        return f"{self.key} ({self.get_state_display()})"


class LedgerEntry(models.Model):
    """One thing that happened to somebody's credit. Append-only; written by billing/ledger.py."""

    class Kind(models.TextChoices):
        SIGNUP_CREDIT = "signup_credit", _("Sign-up credit")
        GUEST_BUDGET = "guest_budget", _("Guest budget")
        TOP_UP = "top_up", _("Top-up")
        FEE = "fee", _("Top-up fee")
        FREE_CREDIT = "free_credit", _("Free credit")
        CHARGE = "charge", _("Charge")
        REFUND = "refund", _("Refund")
        DISPUTE = "dispute", _("Payment disputed")
        DISPUTE_WON = "dispute_won", _("Dispute won")
        ADJUSTMENT = "adjustment", _("Adjustment")

    GIVE: ClassVar = (
        Kind.SIGNUP_CREDIT,
        Kind.GUEST_BUDGET,
        Kind.TOP_UP,
        Kind.FREE_CREDIT,
        Kind.DISPUTE_WON,
    )
    TAKE: ClassVar = (Kind.FEE, Kind.CHARGE, Kind.DISPUTE)

    purse = models.ForeignKey(
        Purse, on_delete=models.PROTECT, db_column="person_id", related_name="ledger"
    )
    # 1, 2, 3, ... of this person.
    number = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=16, choices=Kind)
    # What it gives (above zero) or takes, and what there was after it.
    amount_micro_usd = models.BigIntegerField()
    balance_after_micro_usd = models.BigIntegerField()
    # Names what is booked: the same thing again finds this entry.
    key = models.CharField(max_length=200, unique=True)
    at = models.DateTimeField(auto_now_add=True)
    reason = models.CharField(max_length=500, blank=True)
    staff_id = models.UUIDField(null=True, blank=True)
    reply_id = models.UUIDField(null=True, blank=True)
    chat_id = models.UUIDField(null=True, blank=True)
    hold = models.ForeignKey(
        Hold, null=True, blank=True, on_delete=models.PROTECT, related_name="charges"
    )
    price = models.ForeignKey(
        Price, null=True, blank=True, on_delete=models.PROTECT, related_name="charges"
    )
    top_up_id = models.UUIDField(null=True, blank=True)

    class Meta:
        verbose_name_plural = _("ledger entries")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["purse", "number"], name="ledger_number_once"),
            models.UniqueConstraint(
                fields=["purse", "kind"],
                condition=Q(kind__in=["signup_credit", "guest_budget"]),
                name="ledger_given_once",
            ),
            models.CheckConstraint(condition=~Q(amount_micro_usd=0), name="ledger_amount_not_0"),
            models.CheckConstraint(
                condition=~Q(
                    kind__in=[
                        "signup_credit",
                        "guest_budget",
                        "top_up",
                        "free_credit",
                        "dispute_won",
                    ]
                )
                | Q(amount_micro_usd__gt=0),
                name="ledger_kind_gives",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["fee", "charge", "dispute"]) | Q(amount_micro_usd__lt=0),
                name="ledger_kind_takes",
            ),
            models.CheckConstraint(
                condition=~Q(kind="charge") | Q(hold__isnull=False, price__isnull=False),
                name="ledger_charge_has_hold_and_price",
            ),
            models.CheckConstraint(
                condition=~Q(kind="adjustment") | ~Q(reason=""),
                name="ledger_adjustment_has_reason",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["reply_id"], name="ledger_of_reply"),
            models.Index(fields=["-at"], name="ledger_newest"),
            # What was put in last is told with every answer: not by reading all charges.
            models.Index(fields=["purse", "kind"], name="ledger_of_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.amount_micro_usd} ({self.purse_id})"


class SignUpClaim(models.Model):
    """An address that has had its sign-up credit, as a keyed hash: see billing/grants.py."""

    address_hash = models.CharField(max_length=64, unique=True)
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.address_hash[:8]


class AuditRun(models.Model):
    """One audit of the books (billing/audit.py), and what it found."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    # How much of each kind was looked at, and one line for each thing that is not right.
    checked = models.JSONField()
    differences = models.JSONField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["-finished_at"], name="audit_newest")]

    def __str__(self) -> str:
        count = len(self.differences)
        said = ngettext("%(count)d difference", "%(count)d differences", count) % {"count": count}
        return f"{self.finished_at:%Y-%m-%d %H:%M}: {said}"

    @property
    def is_clean(self) -> bool:
        return not self.differences
