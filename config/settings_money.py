"""Settings: payments and credit."""

from environs import validate

from config.env import env_secret, site_of
from config.env_headers import env_key, env_url, header_value
from config.environment import env

# --- Payments by Stripe: offered when there is a key (billing/payments/stripe_api.py) ---
STRIPE_SECRET_KEY = env_key(env, "STRIPE_SECRET_KEY")
# More than one while they are rotated, separated by commas.
STRIPE_WEBHOOK_SECRETS = [
    header_value("STRIPE_WEBHOOK_SECRET", secret, spaces=False)
    for secret in env_secret(env, "STRIPE_WEBHOOK_SECRET").split(",")
    if secret.strip()
]
STRIPE_API_BASE = env_url(env, "STRIPE_API_BASE", "https://api.stripe.com")
# Where Checkout's pages are: Stripe's own, or a domain of yours that you have set up there.
STRIPE_CHECKOUT_URL = env_url(env, "STRIPE_CHECKOUT_URL", "https://checkout.stripe.com")
STRIPE_RECONCILE_MINUTES = env.int("STRIPE_RECONCILE_MINUTES", 5, validate=validate.Range(1, 1_440))
CHECKOUT_ORIGINS = [site_of(STRIPE_CHECKOUT_URL)] if STRIPE_SECRET_KEY else []

# --- Credit: micro-USD, a millionth of a dollar each (billing/) ---
# Off: the operator pays for every model, and nobody is asked for anything. Usage is counted.
BILLING = env.bool("HOLDFAST_BILLING", True)
_MICRO_USD = validate.Range(0, 1_000_000_000)
CREDIT_SIGN_UP_MICRO_USD = env.int("CREDIT_SIGN_UP_MICRO_USD", 2_000_000, validate=_MICRO_USD)
CREDIT_GUEST_MICRO_USD = env.int("CREDIT_GUEST_MICRO_USD", 500_000, validate=_MICRO_USD)
CREDIT_FREE_MICRO_USD = env.int("CREDIT_FREE_MICRO_USD", 500_000, validate=_MICRO_USD)
CREDIT_FREE_AFTER_DAYS = env.int("CREDIT_FREE_AFTER_DAYS", 30, validate=validate.Range(1, 3_650))
# What staff who may give credit, but not adjust it, may give one person at once.
STAFF_GIVES_AT_MOST_MICRO_USD = env.int(
    "STAFF_GIVES_AT_MOST_MICRO_USD", 20_000_000, validate=_MICRO_USD
)
# And what all of it together may be that one of them gives in any 24 hours.
STAFF_GIVES_A_DAY_MICRO_USD = env.int(
    "STAFF_GIVES_A_DAY_MICRO_USD", 100_000_000, validate=_MICRO_USD
)
AUDIT_EVERY_HOURS = 24
# Less than this is of no use: who has less is at zero.
CREDIT_ZERO_BELOW_MICRO_USD = 10_000
# An answer on credit is no longer than this, so that one chat does not hold all that is there.
CREDIT_MAX_ANSWER_TOKENS = env.int(
    "CREDIT_MAX_ANSWER_TOKENS", 32_000, validate=validate.Range(256, 10_000_000)
)
