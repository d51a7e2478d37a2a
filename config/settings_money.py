"""Settings: payments and credit."""

from environs import validate

from config.env import env_secret, site_of
from config.env_headers import env_key, env_url, header_value
from config.environment import env

# --- Payments by Stripe: offered when there is a key (billing/payments/stripe_api.py) ---
STRIPE_SECRET_KEY = env_key(env, "STRIPE_SECRET_KEY")
# Several secrets while they are rotated, separated by commas.
STRIPE_WEBHOOK_SECRETS = [
    header_value("STRIPE_WEBHOOK_SECRET", secret, spaces=False)
    for secret in env_secret(env, "STRIPE_WEBHOOK_SECRET").split(",")
    if secret.strip()
]
STRIPE_API_BASE = env_url(env, "STRIPE_API_BASE", "https://api.stripe.com")
# The address of Checkout's pages: Stripe's own, or your domain if you have set one up there.
STRIPE_CHECKOUT_URL = env_url(env, "STRIPE_CHECKOUT_URL", "https://checkout.stripe.com")
STRIPE_RECONCILE_MINUTES = env.int("STRIPE_RECONCILE_MINUTES", 5, validate=validate.Range(1, 1_440))
CHECKOUT_ORIGINS = [site_of(STRIPE_CHECKOUT_URL)] if STRIPE_SECRET_KEY else []

# --- Credit, in micro-USD, millionths of a dollar (billing/) ---
# If off, the operator pays for every model, and people need no credit. Usage is still counted.
BILLING = env.bool("HOLDFAST_BILLING", True)
_MICRO_USD = validate.Range(0, 1_000_000_000)
CREDIT_SIGN_UP_MICRO_USD = env.int("CREDIT_SIGN_UP_MICRO_USD", 2_000_000, validate=_MICRO_USD)
CREDIT_GUEST_MICRO_USD = env.int("CREDIT_GUEST_MICRO_USD", 500_000, validate=_MICRO_USD)
CREDIT_FREE_MICRO_USD = env.int("CREDIT_FREE_MICRO_USD", 500_000, validate=_MICRO_USD)
CREDIT_FREE_AFTER_DAYS = env.int("CREDIT_FREE_AFTER_DAYS", 30, validate=validate.Range(1, 3_650))
# The most that staff with the permission to give credit, but not to adjust it, may give at once.
STAFF_GIVES_AT_MOST_MICRO_USD = env.int(
    "STAFF_GIVES_AT_MOST_MICRO_USD", 20_000_000, validate=_MICRO_USD
)
# The most that one such member of staff may give in any 24 hours.
STAFF_GIVES_A_DAY_MICRO_USD = env.int(
    "STAFF_GIVES_A_DAY_MICRO_USD", 100_000_000, validate=_MICRO_USD
)
AUDIT_EVERY_HOURS = 24
# A balance below this counts as zero, because it pays for no answer.
CREDIT_ZERO_BELOW_MICRO_USD = 10_000
# The longest answer paid from credit, so that one chat does not hold the whole balance.
CREDIT_MAX_ANSWER_TOKENS = env.int(
    "CREDIT_MAX_ANSWER_TOKENS", 32_000, validate=validate.Range(256, 10_000_000)
)
