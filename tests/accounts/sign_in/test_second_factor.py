"""Second factors: codes of a real authenticator app, and recovery codes."""

import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

from tests.accounts.people import is_signed_in
from tests.accounts.sign_in.authenticator import AUTHENTICATE, totp, wrong

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def test_signing_in_takes_the_code_of_the_app(enrolled):
    visitor, secret = enrolled
    assert visitor.sign_in()["Location"].startswith(AUTHENTICATE)
    assert not is_signed_in(visitor)
    for bad in (wrong(totp(secret)), "", "abcdef", totp(secret, time.time() - 300)):
        assert visitor.post(AUTHENTICATE, code=bad).status_code == 200
        assert not is_signed_in(visitor)
    assert visitor.post(AUTHENTICATE, code=totp(secret)).status_code == 302
    assert is_signed_in(visitor)
    assert visitor.client.get("/settings").status_code == 200


def test_a_code_is_good_once(enrolled):
    visitor, secret = enrolled
    visitor.sign_in()
    visitor.post(AUTHENTICATE, code=totp(secret))
    visitor.post("/account/logout/")
    visitor.sign_in()
    assert visitor.post(AUTHENTICATE, code=totp(secret)).status_code == 200
    assert not is_signed_in(visitor)


def test_the_code_by_mail_does_not_go_around_the_app(enrolled):
    from tests.accounts.mailbox import code_in

    visitor, secret = enrolled
    visitor.post("/account/login/code/", email=visitor.email)
    code = code_in(visitor.mailbox.to(visitor.email))
    visitor.post("/account/login/code/confirm/", code=code)
    assert not is_signed_in(visitor)
    visitor.post(AUTHENTICATE, code=totp(secret))
    assert is_signed_in(visitor)


def test_without_the_password_the_code_is_of_no_use(enrolled):
    visitor, secret = enrolled
    assert visitor.post(AUTHENTICATE, code=totp(secret)).status_code == 302
    assert not is_signed_in(visitor)


def test_a_recovery_code_is_good_once(enrolled):
    visitor, _ = enrolled
    row = Authenticator.objects.get(type=Authenticator.Type.RECOVERY_CODES)
    codes = RecoveryCodes(row).get_unused_codes()
    assert len(codes) >= 8
    visitor.sign_in()
    assert visitor.post(AUTHENTICATE, code=codes[0]).status_code == 302
    assert is_signed_in(visitor)
    visitor.post("/account/logout/")
    visitor.sign_in()
    assert visitor.post(AUTHENTICATE, code=codes[0]).status_code == 200
    assert not is_signed_in(visitor)
    assert visitor.post(AUTHENTICATE, code=codes[1]).status_code == 302
    assert is_signed_in(visitor)


def test_failed_codes_are_in_the_record(enrolled):
    visitor, secret = enrolled
    visitor.sign_in()
    visitor.post(AUTHENTICATE, code=wrong(totp(secret)))
    visitor.post(AUTHENTICATE, code=totp(secret))
    page = visitor.client.get("/settings/activity").content.decode()
    assert "Sign-in failed" in page and "Second factor added" in page
