"""Requests to have an answer read aloud, as the page sends them."""

import asyncio


def path_of(chat, reply):
    return f"/api/chats/{chat}/messages/{reply}/speech"


async def order(person, reply):
    return await person.post(path_of(person.chat, reply))


async def speech_of(person, reply):
    return (await person.client.get(path_of(person.chat, reply))).json()


async def spoken(person, reply):
    """Wait until an ordered answer is read aloud, or is not; returns its state."""
    async with asyncio.timeout(30):
        while (state := await speech_of(person, reply))["speech"] == "waiting":
            await asyncio.sleep(0.02)
    return state


async def read_aloud(person, reply):
    response = await order(person, reply)
    assert response.status_code == 202, response.content
    return await spoken(person, reply)


async def told(person, reply):
    """Wait until the log has the speech; returns the message."""
    return await person.until(reply, lambda message: message.audio is not None)
