"""One client of Stripe serves all threads: each is told of the payment it asked about."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from billing.payments import stripe_api


def test_threads_at_once_get_the_session_they_asked_for(fake_stripe):
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
            found = stripe_api.get_session(made.id)
            assert found.id == made.id
            assert found.amount_total == 500 + number
        return made.id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(person, range(24)))) == 24
