"""Errors of billing.

BillingError
├── OutOfCredit   402  the available credit does not cover this; nothing was stored
│   └── CreditHeld     the credit will cover it once the answers being written have ended
└── NoPrice       422  the model has no price, so it cannot be used on credit
KeyReused              a bug: one idempotency key for two different bookings

`code` is stable and documented in docs/protocol.md; `message` is a sentence for a person.
"""

from http import HTTPStatus

from django.utils.translation import gettext_noop

from accounts.refusals import Refusal


class BillingError(Refusal):
    code = "billing_error"
    status = HTTPStatus.PAYMENT_REQUIRED
    message = gettext_noop("This could not be paid for.")


class OutOfCredit(BillingError):
    code = "out_of_credit"
    message = gettext_noop(
        "Your credit does not cover this. A shorter message or a cheaper model may do; "
        "what you wrote is kept."
    )


class CreditHeld(OutOfCredit):
    code = "credit_held"
    message = gettext_noop(
        "Your credit is set aside for answers that are still being written. "
        "Wait for them to finish."
    )


class NoPrice(BillingError):
    code = "no_price"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    message = gettext_noop(
        "This model has no known price, so it can't be used. Choose another one."
    )


class KeyReused(Exception):
    """The idempotency key belongs to an entry with another person, kind or amount."""
