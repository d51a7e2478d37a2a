"""Two web processes on the same data: access revoked in one ends in the other."""

import asyncio
import re

import httpx2
import pytest
import websockets

MAKE = """
from accounts.models import User
from allauth.account.models import EmailAddress
user = User.objects.create_user("alice@example.org", "a-Long-passphrase-9")
EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
"""


@pytest.fixture
def two_webs(make_stack, fake_model):
    """Yields the URLs of two web processes of one Holdfast."""
    stack = make_stack(model_url=fake_model.base_url, workers=1).start()
    made = stack.manage("shell", "-c", MAKE, timeout=60)
    assert made.returncode == 0, made.stderr
    with stack.another_web() as url:
        yield stack.url.replace("localhost", "127.0.0.1"), url


async def signed_in(url):
    http = httpx2.AsyncClient(base_url=url, timeout=30)
    await http.get("/account/login/")
    response = await post(
        http, "/account/login/", login="alice@example.org", password="a-Long-passphrase-9"
    )
    assert response.status_code == 302, response.text
    return http


async def post(http, path, **fields):
    token = {"X-CSRFToken": http.cookies.get("csrftoken", ""), "Referer": str(http.base_url)}
    return await http.post(path, data=fields, headers=token)


def socket_of(http, url):
    cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    return websockets.connect(
        url.replace("http", "ws", 1) + "/ws",
        additional_headers={"Cookie": cookie},
        origin=url,
        open_timeout=30,
    )


async def test_a_session_that_ends_at_one_closes_its_sockets_at_the_other(two_webs):
    for how in ("one", "others", "sign out"):
        await _ends_at_the_other(*two_webs, how)


async def _ends_at_the_other(first, second, how):
    phone, laptop = await signed_in(first), await signed_in(second)
    async with socket_of(phone, second) as ended, socket_of(laptop, first) as stays:
        assert "welcome" in await ended.recv() and "welcome" in await stays.recv()
        if how == "sign out":
            await post(phone, "/account/logout/")
        elif how == "others":
            await post(laptop, "/settings/sessions", others="1")
        else:
            page = (await laptop.get("/settings/sessions")).text
            [number, *_] = re.findall(r'name="session" value="(\d+)"', page)
            await post(laptop, "/settings/sessions", session=number)
        with pytest.raises(websockets.ConnectionClosed):
            async with asyncio.timeout(5):  # much less than the interval of heartbeats
                while True:
                    await ended.recv()
        assert ended.close_code == 4401
        pong = await stays.ping()
        await asyncio.wait_for(pong, 10)
    assert (await phone.get("/api/chats")).status_code == 401
    assert (await laptop.get("/api/chats")).status_code == 200
    await post(laptop, "/account/logout/")
    await phone.aclose()
    await laptop.aclose()
