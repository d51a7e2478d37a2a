"""Accounts, guests and holds for the tests of granted credit."""

import uuid

from allauth.account.models import EmailAddress

from accounts.models import User
from billing import holds, ledger


def account(email, *more):
    person = User.objects.create_user(email)
    for address in (email, *more):
        EmailAddress.objects.create(user=person, email=address, verified=True)
    return person


def guest():
    return User.objects.create(is_guest=True, password="!")


def balance(person):
    return ledger.balance(person.id).balance_micro_usd


def needs_credit(person, price):
    """Place a hold as for an answer; returns its key and the id of the reply."""
    reply = uuid.uuid4()
    key = holds.answer_key(reply)
    holds.place(person, key, price, 10, chat_id=None, reply_id=reply)
    return key, reply


def at_zero(email="alice@example.org"):
    person = account(email)
    ledger.post(person.id, "top_up", 5, key=f"t:{email}")
    return person
