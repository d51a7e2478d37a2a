"""All threads share one Stripe client, and each gets its own answers."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from billing.payments import stripe_api


def test_concurrent_threads_get_their_own_sessions(fake_stripe):
    def person(number):
        top_up = uuid4()
        made = stripe_api.create_session(
            top_up_id=top_up,
            email=f"person{number}@example.org",
            lines=[("Credit", 500 + number)],
            success_url="https://example.org/a",
            cancel_url="https://example.org/b",
            expires_at=stripe_api.expiry(),
        )
        for _ in range(5):
            session = stripe_api.get_session(made.id)
            assert session.id == made.id
            assert session.amount_total == 500 + number
        return made.id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(person, range(24)))) == 24
