"""One chat as a file: Markdown to read, or JSON with all branches."""

import uuid
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.utils.http import content_disposition_header

from accounts import limits
from accounts.people import require_user
from accounts.personal_data.file_names import safe_name
from chat import chats
from chat.errors import BadRequest
from chat.folding import fold_chat
from chat.models import Chat
from chat.personal_data.markdown_export import render_markdown
from chat.transcript import Transcript
from chat.web.api import api
from streams.log import get_log


@api("GET")
async def export(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """GET: the chat as a file. Answers that are being written end where the log ends now."""
    user = await require_user(request)
    render = FORMATS.get(form := request.GET.get("format", "md"))
    if render is None:
        raise BadRequest("“format” must be md or json.")
    chat = await sync_to_async(chats.own_chat)(user, chat_id)
    # Counted like a change: it reads and folds the whole chat.
    await sync_to_async(limits.take_change)(user)
    transcript = await fold_chat(get_log(), user.stream, str(chat_id))
    # In a thread, so that a long chat does not block the answers to other people.
    body = await sync_to_async(render, thread_sensitive=False)(transcript, chat)
    response = HttpResponse(body, content_type=CONTENT_TYPES[form])
    name = f"{safe_name(chat.title, 'Chat')}.{form}"
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return response


def _markdown(transcript: Transcript, chat: Chat) -> bytes:
    return "".join(render_markdown(transcript, chat)).encode()


def _json(transcript: Transcript, chat: Chat) -> bytes:
    shown = [message.id for message in transcript.path()]
    content: dict[str, Any] = {
        "chat": str(chat.id),
        "created": chat.created_at.isoformat(),
        "model": chat.model,
        "shown": shown,
        **transcript.to_dict(),
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)


FORMATS = {"md": _markdown, "json": _json}
CONTENT_TYPES = {"md": "text/markdown; charset=utf-8", "json": "application/json"}
