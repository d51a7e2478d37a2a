"""The forms of accounts, filled in by a `Person`."""

import asyncio

from allauth.account.models import EmailAddress
from asgiref.sync import sync_to_async

from accounts.models import User
from tests.accounts.mailbox import code_in
from tests.accounts.people import PASSWORD


async def form(person, path, **fields):
    return await person.client.post(path, fields)


async def sign_up(person, mailbox, email="alice@example.org"):
    response = await form(person, "/account/signup/", email=email, password1=PASSWORD)
    assert response.status_code == 302, response.content.decode()
    mail = await asyncio.to_thread(mailbox.to, email)
    return await form(person, "/account/confirm-email/", code=code_in(mail))


async def account(email="alice@example.org"):
    user = await sync_to_async(User.objects.create_user)(email, PASSWORD)
    await EmailAddress.objects.acreate(user=user, email=email, verified=True, primary=True)
    await User.objects.filter(id=user.id).aupdate(last_login=user.created_at)
    return user


async def sign_in(person, email="alice@example.org", **fields):
    return await form(person, "/account/login/", login=email, password=PASSWORD, **fields)


async def prove(person):
    return await form(person, "/account/reauthenticate/", password=PASSWORD)


async def mail_to(sink, email):
    return await asyncio.to_thread(sink.to, email)
