"""Top-ups: orders of credit and the state of their payments at Stripe."""

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
    """One order of credit. Amounts are cents, Stripe's unit; an order never changes.

    Only `refresh` (billing/payments/top_ups.py) updates the payment: it asks Stripe for the current
    state and writes it here and into the ledger in one transaction.
    """

    class State(models.TextChoices):
        CREATED = "created", _("Begun")
        OPEN = "open", _("Not paid yet")
        PROCESSING = "processing", _("The bank is working on it")
        PAID = "paid", _("Paid")
        FAILED = "failed", _("The payment failed")
        EXPIRED = "expired", _("Not paid in time")

    # Final states. Money that arrives later all the same is still credited.
    ENDED: ClassVar = (State.PAID, State.FAILED, State.EXPIRED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Not a foreign key, because payments outlive the account.
    person_id = models.UUIDField()
    credit_cents = models.PositiveIntegerField()
    fee_cents = models.PositiveIntegerField()
    total_cents = models.PositiveIntegerField()
    livemode = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State, default=State.CREATED)
    # Stripe's ids. NULL until the session was created.
    session_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    session_url = models.TextField(blank=True)
    payment_intent_id = models.CharField(max_length=255, blank=True)
    charge_id = models.CharField(max_length=255, blank=True)
    receipt_url = models.TextField(blank=True)
    refunded_cents = models.PositiveIntegerField(default=0)
    disputed_cents = models.PositiveIntegerField(default=0)
    # For operators: why the payment was not credited; "" when nothing is wrong.
    problem = models.CharField(max_length=200, blank=True)
    # Counts refreshes, so that an older response of Stripe never overwrites a newer one.
    looks = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    looked_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    receipt_mailed_at = models.DateTimeField(null=True, blank=True)

    # The amount booked by the refresh that returned this object (negative: taken back). Not stored.
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
        """Credit that belongs to `cents` of the total; all of it when all cents are returned.

        Rounded down to whole micro-USD, in favour of the person.
        """
        return self.credit_micro_usd * min(cents, self.total_cents) // self.total_cents


class StripeReconciliation(models.Model):
    """Progress of the reconciliation with Stripe. Has one row."""

    SINGLE_ID = 1
    OVERLAP = timedelta(minutes=15)

    id = models.PositiveSmallIntegerField(primary_key=True, default=SINGLE_ID)
    # When the last run began; the next one is due an interval later.
    begun_at = models.DateTimeField(null=True, blank=True)
    # Everything that happened at Stripe up to this time is accounted for.
    done_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("reconciliation with Stripe")
        verbose_name_plural = _("reconciliation with Stripe")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(id=1), name="stripe_reconciliation_is_one")
        ]

    def __str__(self) -> str:
        return f"reconciled until {self.done_until}"
