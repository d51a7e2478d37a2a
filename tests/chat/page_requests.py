"""Requests as the page sends them; each returns the response."""

import uuid

from tests.chat.conftest import MODEL


async def set_instructions(person, text, chat=None):
    return await person.client.patch(
        f"/api/chats/{chat or person.chat}",
        {"instructions": text},
        content_type="application/json",
    )


async def put_draft(person, text, /, **fields):
    body = {"chat": None, "text": text, "age_ms": 0} | fields
    return await person.client.put("/api/drafts", body, content_type="application/json")


def new_message(text="Hello", **fields):
    return {"id": str(uuid.uuid4()), "text": text, "model": MODEL, "parent": None} | fields


async def post_message(person, body=None, chat=None):
    """Like `person.send`, but the response may be a refusal."""
    path = f"/api/chats/{chat or person.chat}/messages"
    return await person.post(path, **(body or new_message()))
