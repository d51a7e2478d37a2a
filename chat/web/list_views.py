"""The JSON API of chat lists and search."""

import re
import uuid
from http import HTTPStatus
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts import limits
from accounts.models import User
from accounts.people import require_user
from chat import chat_lists, chats
from chat.errors import BadRequest
from chat.personal_data import temporary
from chat.projects.rows import own_project
from chat.search.search import search as search_all
from chat.uuids import read_uuid
from chat.web.api import api, change_id, json_body, require_user_for_change
from streams.log import get_log

MAX_QUERY_CHARS = 10_000


@api("GET")
async def chat_list(request: HttpRequest) -> HttpResponse:
    """GET: a page of the open, archived or deleted chats, or of a project, newest first."""
    user = await require_user(request)
    view = request.GET.get("view", "open")
    if not chat_lists.is_view(view):
        raise BadRequest("“view” must be open, archived or deleted.")
    limit = request.GET.get("limit", str(chat_lists.PAGE))
    if not re.fullmatch(r"[0-9]{1,4}", limit) or not 1 <= int(limit) <= chat_lists.MAX_PAGE:
        raise BadRequest(f"“limit” must be a number from 1 to {chat_lists.MAX_PAGE}.")
    # The cursor is read first, so that events between the two reads are watched, not missed.
    cursor = await get_log().tail(user.stream)
    before, project = request.GET.get("before"), request.GET.get("project")
    if project is None:
        page = await sync_to_async(chat_lists.chat_page)(user, view, before, int(limit))
    else:
        project_id = read_uuid(project, "project")
        page = await sync_to_async(_chats_of_project)(user, project_id, before, int(limit))
    return JsonResponse(page | {"cursor": cursor})


def _chats_of_project(
    user: User, project_id: uuid.UUID, before: str | None, limit: int
) -> dict[str, Any]:
    own_project(user, project_id)
    return chat_lists.project_page(user, project_id, before, limit)


@api("PUT", "DELETE")
async def pin(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """PUT: pin to the top of the list. DELETE: unpin."""
    user, is_set = await require_user_for_change(request), request.method == "PUT"
    await chats.pin(user, chat_id, is_set, change_id(request))
    return JsonResponse({"chat": str(chat_id), "pinned": is_set})


@api("PUT", "DELETE")
async def archive(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """PUT: archive. DELETE: move back to the list."""
    user, is_set = await require_user_for_change(request), request.method == "PUT"
    await chats.archive(user, chat_id, is_set, change_id(request))
    return JsonResponse({"chat": str(chat_id), "archived": is_set})


@api("POST")
async def restore(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """POST: undo a deletion."""
    user = await require_user_for_change(request)
    await chats.restore(user, chat_id, change_id(request))
    row = await sync_to_async(chat_lists.chat_row)(user, chat_id)
    return JsonResponse({"chat": row})


@api("POST")
async def keep(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """POST: make a temporary chat an ordinary one."""
    user = await require_user_for_change(request)
    await temporary.keep(user, chat_id)
    row = await sync_to_async(chat_lists.chat_row)(user, chat_id)
    return JsonResponse({"chat": row})


@api("POST")
async def leave(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """POST: the page of a temporary chat is closed. Other chats are not changed."""
    user = await require_user_for_change(request)
    await sync_to_async(temporary.leave)(user, chat_id)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


@api("POST")
async def read(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """POST: mark answers that ended up to `until_ms` as read."""
    user, until_ms = await require_user_for_change(request), json_body(request).get("until_ms")
    if type(until_ms) is not int or not 0 <= until_ms < 2**52:
        raise BadRequest("“until_ms” must be a time in milliseconds.")
    await chats.mark_read(user, chat_id, until_ms)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


@api("GET")
async def search(request: HttpRequest) -> HttpResponse:
    """GET: the chats whose titles or messages match, best first."""
    user, query = await require_user(request), request.GET.get("q", "")
    if len(query) > MAX_QUERY_CHARS:
        raise BadRequest(f"“q” must have at most {MAX_QUERY_CHARS} characters.")
    return JsonResponse({"results": await sync_to_async(_search)(user, query)})


def _search(user: User, query: str) -> list[dict[str, Any]]:
    limits.take("LIMIT_SEARCHES_PER_MINUTE_USER", user.id.hex)
    return search_all(user, query)
