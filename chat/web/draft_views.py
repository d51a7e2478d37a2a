"""The drafts API."""

import re
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts import limits
from accounts.models import User
from accounts.people import require_person, require_user
from chat import drafts
from chat.errors import BadRequest, MessageTooLong
from chat.uuids import read_uuid
from chat.web.api import api, json_body
from chat.web.views import MAX_MESSAGE_CHARS

MAX_PASTES = 20
MAX_AGE_MS = 365 * 24 * 3_600_000
# The value of ?chat= for the draft of a chat that does not exist yet.
NEW_CHAT = "new"
MARK = re.compile(r"[0-9a-zA-Z-]{0,40}")


@api("GET", "PUT")
async def draft_list(request: HttpRequest) -> HttpResponse:
    """GET: all drafts, or that of one chat. PUT: write the composer's content; the last write
    wins."""
    user = await require_user(request)
    if request.method == "GET":
        return JsonResponse(await sync_to_async(_drafts_json)(user, request.GET.get("chat")))
    body = json_body(request)
    require_person(user, body.get("person"))
    writing = _writing(body)
    await sync_to_async(limits.take)("LIMIT_DRAFTS_PER_MINUTE_USER", user.id.hex)
    return JsonResponse({"draft": await drafts.write(user, writing)})


def _drafts_json(user: User, chat_param: str | None) -> dict[str, Any]:
    if chat_param is None:
        rows, more = drafts.drafts_of(user)
        return {"drafts": rows, "more": more}
    chat = read_uuid(chat_param, "chat") if chat_param != NEW_CHAT else None
    return {"drafts": drafts.draft_of(user, chat), "more": False}


def _writing(body: dict[str, Any]) -> drafts.Writing:
    chat, age_ms = body.get("chat"), body.get("age_ms", 0)
    tab, was = body.get("tab", ""), body.get("was")
    text, pastes, seen_ms = body.get("text"), body.get("pastes", []), body.get("seen_ms")
    if not isinstance(text, str) or "\x00" in text:
        raise BadRequest("“text” must be a text without the character NUL.")
    if not isinstance(pastes, list) or not all(_is_paste(paste) for paste in pastes):
        raise BadRequest("“pastes” must be a list of texts that are not empty.")
    for name, value in (("tab", tab), ("was", was or "")):
        if not isinstance(value, str) or not MARK.fullmatch(value):
            raise BadRequest(f"“{name}” must have at most 40 letters, digits and dashes.")
    if type(age_ms) is not int or age_ms < 0:
        raise BadRequest("“age_ms” must be a whole number of milliseconds.")
    if seen_ms is not None and type(seen_ms) is not int:
        raise BadRequest("“seen_ms” must be the “written_ms” of a draft, or null.")
    if len(pastes) > MAX_PASTES or len(text) + sum(map(len, pastes)) > MAX_MESSAGE_CHARS:
        raise MessageTooLong
    return drafts.Writing(
        chat=read_uuid(chat, "chat") if chat is not None else None,
        text=text,
        pastes=pastes,
        age_ms=min(age_ms, MAX_AGE_MS),
        tab=tab,
        seen_ms=seen_ms,
        was=was,
    )


def _is_paste(value: object) -> bool:
    return isinstance(value, str) and value != "" and "\x00" not in value
