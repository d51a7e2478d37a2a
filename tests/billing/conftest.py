from tests.billing.stripe_fixtures import caller, fake_stripe, payer, shared_database, stripe_server

__all__ = ["caller", "fake_stripe", "payer", "shared_database", "stripe_server"]
