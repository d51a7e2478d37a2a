"""System checks of the payment settings."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from billing.payments import stripe_api

KEY_KINDS = ("sk_test_", "sk_live_", "rk_test_", "rk_live_")


@register()
def check_payments(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    if not stripe_api.enabled():
        return _secret_without_key()
    checks = (_key, _live_over_http, _test_for_everybody, _webhook_secret, _secret_kind)
    return [message for check in checks for message in check()]


def _secret_without_key() -> list[CheckMessage]:
    if not settings.STRIPE_WEBHOOK_SECRETS:
        return []
    hint = "Payments need the key: set it, or unset STRIPE_WEBHOOK_SECRET."
    message = "STRIPE_WEBHOOK_SECRET is set, but STRIPE_SECRET_KEY is not."
    return [Warning(message, hint=hint, id="billing.W001")]


def _key() -> list[CheckMessage]:
    if settings.STRIPE_SECRET_KEY.startswith(KEY_KINDS):
        return []
    hint = "It begins with sk_ or rk_ (a restricted key); pk_ keys are for browsers."
    return [Error("STRIPE_SECRET_KEY is not a secret key.", hint=hint, id="billing.E001")]


def _live_over_http() -> list[CheckMessage]:
    if not stripe_api.is_live():
        return []
    problems: list[CheckMessage] = []
    if not settings.HTTPS:
        hint = "This key takes real money: set HOLDFAST_URL to an https address, or use a test key."
        message = "STRIPE_SECRET_KEY is a live key, and HOLDFAST_URL is not https."
        problems.append(Error(message, hint=hint, id="billing.E002"))
    if not settings.STRIPE_API_BASE.startswith("https://"):
        hint = "The key would be sent in the clear: unset it, or use a test key."
        message = "STRIPE_SECRET_KEY is a live key, and STRIPE_API_BASE is not https."
        problems.append(Error(message, hint=hint, id="billing.E004"))
    return problems


def _test_for_everybody() -> list[CheckMessage]:
    if not settings.HTTPS or not settings.STRIPE_SECRET_KEY.startswith(("sk_test_", "rk_test_")):
        return []
    hint = "Anybody can get credit with Stripe's test cards, while models cost you real money."
    message = "STRIPE_SECRET_KEY is a test key on a site that others can reach."
    return [Warning(message, hint=hint, id="billing.W003")]


def _webhook_secret() -> list[CheckMessage]:
    if settings.STRIPE_WEBHOOK_SECRETS:
        return []
    hint = (
        "Add an endpoint for …/billing/stripe-webhook at Stripe and set its whsec_…. Until then, "
        "credit is booked when people return from Checkout and by the reconciliation."
    )
    return [Warning("STRIPE_WEBHOOK_SECRET is not set.", hint=hint, id="billing.W002")]


def _secret_kind() -> list[CheckMessage]:
    if all(secret.startswith("whsec_") for secret in settings.STRIPE_WEBHOOK_SECRETS):
        return []
    hint = "It begins with whsec_. Stripe shows it on the endpoint's page, not with the API keys."
    message = "STRIPE_WEBHOOK_SECRET is not a signing secret."
    return [Error(message, hint=hint, id="billing.E003")]
