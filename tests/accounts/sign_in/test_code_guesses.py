"""Limits on guessing codes, and the ways to sign in that stay open to the owner."""

import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.test import Client

from tests.accounts.mailbox import code_in, text_of
from tests.accounts.people import PASSWORD, Visitor, is_signed_in
from tests.accounts.sign_in.authenticator import ACTIVATE, AUTHENTICATE, totp, wrong

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
CONFIRM = "/account/login/code/confirm/"
TRIES = 6


@pytest.fixture(autouse=True)
def few_tries(settings):
    settings.LIMIT_CODE_GUESSES_PER_DAY_ACCOUNT = TRIES
    settings.LIMIT_LOCKED_CODES_TOLD_PER_DAY_ACCOUNT = 1
    settings.ACCOUNT_RATE_LIMITS = False


@pytest.fixture
def owner(visitor):
    visitor.sign_up()
    visitor.confirm()
    visitor.post("/account/logout/")
    return visitor


def mails_about_it(person):
    return [mail for _, mail in person.mailbox.mails if "wrong codes" in mail["Subject"]]


def guess(person, times):
    """Guess from a new browser each time, as somebody who knows about the limits would."""
    while times:
        stranger = Visitor(Client(), person.mailbox, person.email)
        stranger.post("/account/login/code/", email=person.email)
        code = code_in(person.mailbox.to(person.email))
        for _ in range(min(2, times)):
            stranger.post(CONFIRM, code=wrong(code))
            times -= 1


def test_mailed_codes_can_be_guessed_so_often_a_day(owner):
    guess(owner, TRIES)
    owner.post("/account/login/code/", email=owner.email)
    right = code_in(owner.mailbox.to(owner.email))
    refused = owner.post(CONFIRM, code=right).content.decode()
    assert "Too many wrong codes" in refused
    assert not is_signed_in(owner)
    guess(owner, 3)
    told = mails_about_it(owner)
    assert len(told) == 1 and "change your password" in text_of(told[0])
    owner.post("/account/logout/", next="/account/login/")  # The button “Cancel”.
    owner.sign_in()
    assert is_signed_in(owner)


def test_a_right_code_clears_what_was_guessed(owner):
    for _ in range(3):
        guess(owner, TRIES - 1)
        owner.post("/account/login/code/", email=owner.email)
        owner.post(CONFIRM, code=code_in(owner.mailbox.to(owner.email)))
        assert is_signed_in(owner)
        owner.post("/account/logout/")


def test_codes_of_an_app_can_be_guessed_so_often_a_day(enrolled):
    visitor, secret = enrolled
    visitor.sign_in()
    for _ in range(TRIES):
        visitor.post(AUTHENTICATE, code=wrong(totp(secret)))
    page = visitor.post(AUTHENTICATE, code=totp(secret)).content.decode()
    assert "Too many wrong codes" in page and not is_signed_in(visitor)
    assert len(mails_about_it(visitor)) == 1
    row = Authenticator.objects.get(type=Authenticator.Type.RECOVERY_CODES)
    visitor.post(AUTHENTICATE, code=RecoveryCodes(row).get_unused_codes()[0])
    assert is_signed_in(visitor)


def test_recovery_codes_have_a_count_of_their_own(enrolled):
    visitor, _ = enrolled
    row = Authenticator.objects.get(type=Authenticator.Type.RECOVERY_CODES)
    code = RecoveryCodes(row).get_unused_codes()[0]
    visitor.sign_in()
    for _ in range(2 * TRIES):
        visitor.post(AUTHENTICATE, code=wrong(code).zfill(8))
    assert not is_signed_in(visitor)
    visitor.post(AUTHENTICATE, code=code)
    assert not is_signed_in(visitor)


def test_codes_that_confirm_an_address_can_be_guessed_so_often_a_day(visitor):
    """A guessed code would give an account with somebody else's address."""
    visitor.sign_up()
    for _ in range(TRIES):
        code = code_in(visitor.mailbox.to(visitor.email))
        visitor.post("/account/confirm-email/", code=wrong(code))
        visitor.client.logout()
        visitor.sign_in()  # This sends the next code.
    code = code_in(visitor.mailbox.to(visitor.email))
    page = visitor.post("/account/confirm-email/", code=code).content.decode()
    assert "Too many wrong codes" in page
    assert not EmailAddress.objects.filter(verified=True).exists()


def test_the_code_that_set_up_an_app_does_not_sign_in(visitor, clock):
    visitor.sign_up()
    visitor.confirm()
    visitor.post("/account/reauthenticate/", password=PASSWORD)
    visitor.client.get(ACTIVATE)
    code = totp(visitor.client.session["mfa.totp.secret"])
    assert visitor.post(ACTIVATE, code=code).status_code == 302
    visitor.post("/account/logout/")
    visitor.sign_in()
    assert re.search("not the code", visitor.post(AUTHENTICATE, code=code).content.decode())
    assert not is_signed_in(visitor)
