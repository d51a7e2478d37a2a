import time

import pytest
import time_machine
from allauth.mfa.models import Authenticator

from tests.accounts.mailbox import text_of
from tests.accounts.people import PASSWORD
from tests.accounts.sign_in.authenticator import ACTIVATE, totp, wrong


@pytest.fixture
def clock():
    """A stopped clock, so that no code expires before it is used."""
    with time_machine.travel(time.time(), tick=False) as clock:
        yield clock


@pytest.fixture
def enrolled(visitor, clock):
    """(a visitor who has set up an authenticator app, the app's secret)."""
    visitor.sign_up()
    visitor.confirm()
    visitor.post("/account/reauthenticate/", password=PASSWORD)
    page = visitor.client.get(ACTIVATE).content.decode()
    secret = visitor.client.session["mfa.totp.secret"]
    assert secret in page.replace(" ", "") and "<svg" in page or "data:image/svg" in page
    refused = visitor.post(ACTIVATE, code=wrong(totp(secret)))
    assert refused.status_code == 200 and not Authenticator.objects.exists()
    assert visitor.post(ACTIVATE, code=totp(secret)).status_code == 302
    assert "authenticator" in text_of(visitor.mailbox.to(visitor.email)).lower()
    clock.shift(60)
    visitor.post("/account/logout/")
    return visitor, secret
