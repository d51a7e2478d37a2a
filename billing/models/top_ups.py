"""Top-ups: what somebody wants to pay, and what has become of it at Stripe."""

import uuid
from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.money import MICRO_PER_CENT


class TopUp(models.Model):
    """One order of credit. Amounts in cents, as Stripe counts; they never change.

    `look`ing at it (billing/payments/top_ups.py) is the only thing that changes it: what Stripe
    says now is written here and into the ledger in one transaction.
    """

    class State(models.TextChoices):
        CREATED = "created", _("Begun")
        OPEN = "open", _("Not paid yet")
        PROCESSING = "processing", _("The bank is working on it")
        PAID = "paid", _("Paid")
        FAILED = "failed", _("The payment failed")
        EXPIRED = "expired", _("Not paid in time")

    # Of these nothing is awaited any more; money that comes all the same is still credited.
    ENDED: ClassVar = (State.PAID, State.FAILED, State.EXPIRED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Not a relation: what was paid outlives the account.
    person_id = models.UUIDField()
    credit_cents = models.PositiveIntegerField()
    fee_cents = models.PositiveIntegerField()
    total_cents = models.PositiveIntegerField()
    livemode = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State, default=State.CREATED)
    # Stripe's names. NULL until its session was made.
    session_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    session_url = models.TextField(blank=True)
    payment_intent_id = models.CharField(max_length=255, blank=True)
    charge_id = models.CharField(max_length=255, blank=True)
    receipt_url = models.TextField(blank=True)
    refunded_cents = models.PositiveIntegerField(default=0)
    disputed_cents = models.PositiveIntegerField(default=0)
    # Why a payment was not credited, for operators: "" when nothing is wrong.
    problem = models.CharField(max_length=200, blank=True)
    # Counts the looks taken at Stripe, so that an older look never overwrites a newer one.
    looks = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    looked_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    receipt_mailed_at = models.DateTimeField(null=True, blank=True)

    # What the look that gave this object has put into the ledger (below zero: taken). Not stored.
    booked_micro_usd = 0

    class Meta:
        verbose_name = "top-up"
        indexes: ClassVar = [
            models.Index(fields=["person_id", "-created_at"], name="top_up_of_person"),
            models.Index(
                fields=["created_at"],
                condition=~Q(state__in=("paid", "failed", "expired")),
                name="top_up_awaited",
            ),
            models.Index(
                fields=["paid_at"],
                condition=Q(state="paid", receipt_mailed_at__isnull=True),
                name="top_up_receipt_owed",
            ),
            models.Index(
                fields=["payment_intent_id"],
                condition=~Q(payment_intent_id=""),
                name="top_up_of_payment",
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(credit_cents__gt=0) & Q(total_cents=F("credit_cents") + F("fee_cents")),
                name="top_up_adds_up",
            ),
            models.CheckConstraint(
                condition=Q(refunded_cents__lte=F("total_cents")),
                name="top_up_refunds_within_total",
            ),
            models.CheckConstraint(
                condition=Q(state="paid", paid_at__isnull=False)
                | (~Q(state="paid") & Q(paid_at__isnull=True, refunded_cents=0, disputed_cents=0)),
                name="top_up_is_paid_or_has_no_money",
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=("created", "open", "processing", "paid", "failed", "expired")
                ),
                name="top_up_state_known",
            ),
        ]

    def __str__(self) -> str:
        return gettext("top-up %(id)s") % {"id": self.id} + f" ({self.get_state_display()})"

    @property
    def credit_micro_usd(self) -> int:
        return self.credit_cents * MICRO_PER_CENT

    @property
    def fee_micro_usd(self) -> int:
        return self.fee_cents * MICRO_PER_CENT

    @property
    def total_micro_usd(self) -> int:
        return self.total_cents * MICRO_PER_CENT

    @property
    def is_ended(self) -> bool:
        return self.state in self.ENDED

    def share_micro_usd(self, cents: int) -> int:
        """How much of the credit goes back with so many cents of the total; all of it with all.

        Rounded down, so at most a micro-dollar in favour of the person, and none at the end.
        """
        return self.credit_micro_usd * min(cents, self.total_cents) // self.total_cents


class StripeReconciliation(models.Model):
    """How far what happened at Stripe has been gone through. One row."""

    SINGLE_ID = 1
    OVERLAP = timedelta(minutes=15)

    id = models.PositiveSmallIntegerField(primary_key=True, default=SINGLE_ID)
    # A worker has taken the turn that began then; the next one is due an interval later.
    begun_at = models.DateTimeField(null=True, blank=True)
    # Everything at Stripe until then has been dealt with.
    done_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("reconciliation with Stripe")
        verbose_name_plural = _("reconciliation with Stripe")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(id=1), name="stripe_reconciliation_is_one")
        ]

    def __str__(self) -> str:
        return f"reconciled until {self.done_until}"
