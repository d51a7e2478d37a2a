"""Errors of payments. Only billing/payments/stripe_api.py handles the errors of Stripe's library.

PaymentError
├── PaymentsUnavailable  503  Stripe cannot be reached or fails; retrying later may work
├── PaymentRefused       502  Stripe refuses the request for good: our fault, or our account's
│   └── KeyRefused       502  our API key lacks a permission
└── WebhookRefused       400  a webhook call that is not from Stripe; `code` names the reason

`code` is stable; `message` is a sentence for a person.
"""

from http import HTTPStatus

from django.utils.translation import gettext, gettext_noop


class PaymentError(Exception):
    code = "payment_error"
    status = HTTPStatus.BAD_GATEWAY
    message = gettext_noop("The payment could not be carried out.")

    def __init__(self, message: str | None = None) -> None:
        self.message = message or gettext(self.message)
        super().__init__(self.message)


class PaymentsUnavailable(PaymentError):
    code = "payments_away"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = gettext_noop(
        "Payments cannot be reached right now. Nothing was charged; try again in a minute."
    )


class PaymentRefused(PaymentError):
    code = "payment_refused"
    message = gettext_noop(
        "The payment service refused this. Nothing was charged; "
        "write to the people who run this site."
    )


class KeyRefused(PaymentRefused):
    pass


class WebhookRefused(PaymentError):
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
