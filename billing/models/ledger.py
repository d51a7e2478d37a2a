"""Purses, holds and the ledger. All amounts are whole micro-USD; there are no fractions or floats.

Triggers and constraints in the database (migrations 0001 and 0004) enforce the invariants for every
client:
- entries, prices and usage are never changed, deleted or replaced
- an entry's balance follows from the entry before it
- a purse's balance is that of its last entry, and its held sum is that of its open holds
- no hold is created or raised beyond the balance
- a charge is drawn from a hold
- sign-up credit and guest budget are booked at most once per person
A migration that makes SQLite rebuild one of these tables (AlterField, ...) must recreate its
triggers.
"""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from billing.models.prices import Price


class Purse(models.Model):
    """One person's credit, and the row to lock before changing any of it.

    `person_id` is not a foreign key, because the ledger outlives the person. Database triggers
    maintain both sums; Python code never writes them.
    """

    person_id = models.UUIDField(primary_key=True, editable=False)
    balance_micro_usd = models.BigIntegerField(default=0)
    held_micro_usd = models.BigIntegerField(default=0)
    # The number of entries, which is the number of the last one.
    entries = models.PositiveBigIntegerField(default=0)
    # Since when the balance counts as zero; None while it is higher (billing/grants.py).
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
        """The most that a new hold may take; negative if spent money was taken back."""
        return self.balance_micro_usd - self.held_micro_usd


class Hold(models.Model):
    """Credit reserved for a call whose cost is not known yet. At most one per key is open.

    Charges are drawn from it. Closing it frees the rest; a closed hold never opens again.
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
    # The sum of the charges drawn so far.
    charged_micro_usd = models.BigIntegerField(default=0)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    model = models.CharField(max_length=200)
    price = models.ForeignKey(Price, on_delete=models.PROTECT, related_name="holds")
    reply_id = models.UUIDField(null=True, blank=True)
    chat_id = models.UUIDField(null=True, blank=True)
    # The attempt it was last raised for; 0 until a worker begins.
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
    """One change of a person's credit. Append-only; written by billing/ledger.py."""

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
    # 1, 2, 3, ... within the purse.
    number = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=16, choices=Kind)
    # Positive amounts give credit, negative ones take it.
    amount_micro_usd = models.BigIntegerField()
    balance_after_micro_usd = models.BigIntegerField()
    # Idempotency key: booking the same thing again returns this entry.
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
            # Every balance needs the last incoming entry, without reading all charges.
            models.Index(fields=["purse", "kind"], name="ledger_of_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.amount_micro_usd} ({self.purse_id})"


class SignUpClaim(models.Model):
    """Keyed hash of an address that has had the sign-up credit (billing/grants.py)."""

    address_hash = models.CharField(max_length=64, unique=True)
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.address_hash[:8]


class AuditRun(models.Model):
    """Result of one audit (billing/audit.py)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    # `checked`: {kind of row: count}; `differences`: a list of sentences.
    checked = models.JSONField()
    differences = models.JSONField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["-finished_at"], name="audit_newest")]

    def __str__(self) -> str:
        count = len(self.differences)
        text = ngettext("%(count)d difference", "%(count)d differences", count) % {"count": count}
        return f"{self.finished_at:%Y-%m-%d %H:%M}: {text}"

    @property
    def is_clean(self) -> bool:
        return not self.differences

    @property
    def took_s(self) -> float:
        return (self.finished_at - self.started_at).total_seconds()


class AuditRequest(models.Model):
    """Staff wants an audit now. Deleted once an audit that began later is stored."""

    at = models.DateTimeField()
    staff_id = models.UUIDField()

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"
