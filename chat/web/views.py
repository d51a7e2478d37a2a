"""The page and the JSON API. docs/protocol.md describes bodies and errors."""

import hashlib
import re
import uuid
from http import HTTPStatus
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.messages import get_messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from accounts import limits
from accounts.client_address import address_group, client_address
from accounts.errors import NotSignedIn
from accounts.guests import merge as guest_joins
from accounts.guests.visitor import (
    forget_visitor,
    set_visitor_cookie,
    sign_in_guest,
    visitor_id,
)
from accounts.models import User
from accounts.people import person_json, require_user
from accounts.preferences.locale import page_person, preferences_of_page
from accounts.preferences.store import settings_json
from accounts.push.keys import push_config
from accounts.sessions import SID
from billing.pages.statements import balance_json
from chat import chat_lists, chats, drafts, ratings, storage
from chat.charging.offered import offered_models
from chat.charging.pricing import Offer
from chat.errors import BadRequest, ChatNotFound, ModelUnknown
from chat.files.attaching import MAX_ALT_CHARS, Attached
from chat.files.errors import MAX_FILES, TooManyFiles
from chat.files.speaking.means import voice_for
from chat.files.transcribing.means import means_for
from chat.llm.catalogue import UnknownModelError
from chat.llm.endpoints import Model
from chat.llm.user_models import find_for, models_for
from chat.models import Chat, Reply
from chat.projects.rows import projects_json
from chat.sending import outbox, sends
from chat.sending.send import Send
from chat.sending.stops import notify_workers, stop_answer
from chat.uuids import read_uuid
from chat.web import preview
from chat.web.api import (
    api,
    change_id,
    instructions_field,
    json_body,
    require_user_for_change,
    text_field,
)
from chat.web.app_shell import module_links
from chat.web.writers import require_guest, require_writer, take_new_guest, writer_of
from streams.cursors import is_cursor
from streams.log import get_log

MAX_MESSAGE_CHARS = 200_000
MAX_TITLE_CHARS = 200
EVENTS_PAGE = 1_000


# The page


# Adds padding of random length, so that the size of a page reveals nothing about its content.
COMPRESS = GZipMiddleware(lambda request: HttpResponse())
LARGE_PAGE_BYTES = 100_000
MAX_INLINED_MODELS = 200


@never_cache
@ensure_csrf_cookie
@require_safe
async def page(request: HttpRequest, chat_id: uuid.UUID | None = None) -> HttpResponse:
    """The chat page. Stores nothing on the server for a visitor who sends no message."""
    person = await _person(request)
    if person is not None:
        person = page_person(request) or person
    if person is not None and not person.is_guest:
        await guest_joins.wait_for_joins(person)
    row = preferences_of_page(request) if person is not None else None
    config = await _page_config(person, chat_id, row.default_model if row else None)
    config["push"] = push_config(await request.session.aget(SID, ""))
    if person is not None and row is not None:
        config["settings"] = settings_json(person, row)
    response = _render(request, config)
    await _compress(request, response)
    if person is None:
        await sync_to_async(set_visitor_cookie)(request, response)
    elif not person.is_guest:
        forget_visitor(response)
    return response


def _render(request: HttpRequest, config: dict[str, Any]) -> HttpResponse:
    # A notice of the page before, such as "Signed out": later it would be about something else.
    config["notices"] = [str(notice) for notice in get_messages(request)]
    context = {
        "config": config,
        "glimpse": preview.to_plain_text(config["glimpse"]),
        "modules": module_links(chat=config["chat"] is not None),
    }
    return render(request, "chat/page.html", context)


async def _compress(request: HttpRequest, response: HttpResponse) -> None:
    """Compress in place, a large page in a thread, so that it does not block the event loop."""
    if len(response.content) < LARGE_PAGE_BYTES:
        COMPRESS.process_response(request, response)
    else:
        compress = sync_to_async(COMPRESS.process_response, thread_sensitive=False)
        await compress(request, response)


async def _page_config(
    person: User | None, chat_id: uuid.UUID | None, chosen: str | None
) -> dict[str, Any]:
    if person is None and chat_id is not None:
        raise Http404
    offers, default = await _offered(person)
    # The cursor is read first, so that events between the two reads are watched, not missed.
    cursor = await get_log().tail(person.stream) if person else "0-0"
    rows, shown = await _rows(person, chat_id)
    return {
        "user": person_json(person) if person else None,
        "chat": str(chat_id) if chat_id else None,
        **rows,
        "cursor": cursor,
        "glimpse": await _preview(person, shown) if person and shown else [],
        **_inlined(offers, {default, shown.model if shown else None, chosen}),
        "default_model": default,
        "temporary_hours": settings.TEMPORARY_CHAT_HOURS,
        "guest_days": settings.GUEST_IDLE_DAYS,
        "canTranscribe": await _can_transcribe(person),
        "canSpeak": await _can_speak(person),
        "ws_path": "/ws",
    }


async def _can_transcribe(person: User | None) -> bool:
    is_set = bool(settings.TRANSCRIPTION or settings.LOCAL_SPEECH)
    return is_set and await sync_to_async(means_for)(person) is not None


async def _can_speak(person: User | None) -> bool:
    is_set = bool(settings.SPEECH or settings.LOCAL_SPEECH)
    return is_set and await sync_to_async(voice_for)(person) is not None


def _inlined(offers: list[Offer], needed: set[str | None]) -> dict[str, Any]:
    """The models to inline: the first MAX_INLINED_MODELS, and those of the rest that are `needed`
    at once. If that leaves some out, the page fetches the whole list."""
    first = offers[:MAX_INLINED_MODELS]
    rest = [offer for offer in offers[MAX_INLINED_MODELS:] if offer.model.id in needed]
    more = len(offers) > MAX_INLINED_MODELS
    return {"models": [offer.to_json() for offer in first + rest], "models_more": more}


async def _preview(person: User, shown: Chat) -> list[dict[str, Any]]:
    return await preview.last_messages(person.stream, shown.id, shown.tip_id)


async def _rows(
    person: User | None, chat_id: uuid.UUID | None
) -> tuple[dict[str, Any], Chat | None]:
    """What the page shows of the database, and the chat that is shown. Raises Http404."""
    if person is None:
        return {"chats": [], "projects": [], "drafts": [], "balance": None}, None
    try:
        return await sync_to_async(_rows_of)(person, chat_id)
    except ChatNotFound as error:
        raise Http404 from error


def _rows_of(person: User, chat_id: uuid.UUID | None) -> tuple[dict[str, Any], Chat | None]:
    shown: Chat | None = None
    if chat_id is None:
        listed = chat_lists.chat_page(person)
    else:
        listed, shown = chat_lists.first_page_and(person, chat_id)
    written, more = drafts.drafts_of(person, chat_id)
    rows = {
        "chats": listed["chats"],
        "chats_next": listed["next"],
        "projects": projects_json(person),
        "drafts": written,
        "drafts_more": more,
        "balance": balance_json(person),
    }
    return rows, shown


# Sending


@api("POST")
async def messages(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """POST: send a message and request an answer. Repeating it returns the same response."""
    body = json_body(request)
    parent, project = body.get("parent"), body.get("project")
    await require_writer(request, body)
    for name in ("edit", "temporary"):
        if not isinstance(body.get(name, False), bool):
            raise BadRequest(f"“{name}” must be true or false.")
    if project is not None and body.get("temporary"):
        raise BadRequest("A temporary chat cannot be in a project.")
    files = _files_field(body)
    model = await _known_model(await _person(request), body)
    send = Send(
        id=read_uuid(body.get("id"), "id"),
        chat=chat_id,
        text=text_field(body, "text", max_chars=MAX_MESSAGE_CHARS, may_be_empty=bool(files)),
        model=model.id,
        parent=read_uuid(parent, "parent") if parent is not None else None,
        edit=body.get("edit", False),
        temporary=body.get("temporary", False),
        project=read_uuid(project, "project") if project is not None else None,
        files=files,
    )
    writer = await writer_of(request)
    known = await sync_to_async(sends.replies_of_ids)(send.id)
    is_repeated = Reply.id_for_message(send.id) in known
    async with storage.room_for_send(writer, send, is_repeated=is_repeated):
        place = sync_to_async(_place_for_visitor)
        user, reply = await place(request, send, model, writer, known)
        await outbox.deliver(reply, user.stream)
    accepted = {
        "chat": str(chat_id),
        "message": str(send.id),
        "reply": str(reply.id),
        "user": person_json(user),
    }
    return JsonResponse(accepted, status=HTTPStatus.ACCEPTED)


def _files_field(body: dict[str, Any]) -> tuple[Attached, ...]:
    """The attached files. Raises BadRequest, TooManyFiles."""
    named = body.get("files", [])
    if not isinstance(named, list):
        raise BadRequest("“files” must be a list of ids, or of objects with “id” and “alt”.")
    if len(named) > MAX_FILES:
        raise TooManyFiles
    files = tuple(_attached(one) for one in named)
    if len({file.id for file in files}) < len(files):
        raise BadRequest("“files” must not name a file twice.")
    return files


def _attached(named: object) -> Attached:
    if not isinstance(named, dict):
        return Attached(read_uuid(named, "files"))
    alt = text_field(named, "alt", max_chars=MAX_ALT_CHARS, may_be_empty=True)
    return Attached(read_uuid(named.get("id"), "files"), " ".join(alt.split()))


def _place_for_visitor(
    request: HttpRequest,
    send: Send,
    model: Model,
    writer: User | None,
    known: dict[uuid.UUID, Reply],
) -> tuple[User, Reply]:
    """Place a send. A visitor becomes a guest, unless the send is refused. Sync.

    `writer`: of `writer_of`. `known`: of `sends.replies_of_ids`. Repeating a placed send is not
    counted, because it must succeed.
    """
    is_repeated = Reply.id_for_message(send.id) in known
    if isinstance(request.user, User):
        if not request.user.is_active:
            raise NotSignedIn
        if not is_repeated:
            _take_send(request, request.user)
        return request.user, sends.place_send(request.user, send, model, known)
    take_new_guest(request, writer)
    if not is_repeated and (writer is not None or visitor_id(request) is not None):
        _take_send(request, writer)
    with transaction.atomic():
        guest = require_guest(request)
        reply = sends.place_send(guest, send, model, known)
    sign_in_guest(request, guest)
    return guest, reply


def _take_send(request: HttpRequest, person: User | None) -> None:
    """Count a send. Sync."""
    limits.take_send(person, address_group(client_address(request)))


@api("POST")
async def replies(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """POST: request another answer to a message, as a branch beside the existing ones."""
    user, body = await require_user(request), json_body(request)
    reply_id = read_uuid(body.get("id"), "id")
    prompt_id = read_uuid(body.get("parent"), "parent")
    model = await _known_model(user, body)
    async with storage.room_for_regeneration(user, chat_id, reply_id) as is_repeated:
        if not is_repeated:
            await sync_to_async(_take_send)(request, user)
        place = sync_to_async(sends.place_regeneration)
        reply = await place(user, chat_id, reply_id, prompt_id, model)
        await outbox.deliver(reply, user.stream)
    return _accepted(reply)


@api("POST")
async def attempts(request: HttpRequest, chat_id: uuid.UUID, reply_id: uuid.UUID) -> HttpResponse:
    """POST: continue an answer that failed or was stopped, in the same message."""
    user = await require_user(request)
    await sync_to_async(_take_send)(request, user)
    async with storage.room_to_continue(user, chat_id, reply_id):
        reply = await sends.continue_answer(user, chat_id, reply_id)
        await outbox.deliver(reply, user.stream)
    return _accepted(reply)


@api("POST")
async def stop(request: HttpRequest, chat_id: uuid.UUID, reply_id: uuid.UUID) -> HttpResponse:
    """POST: stop an answer and keep the text so far."""
    user = await require_user(request)
    await stop_answer(user, chat_id, reply_id)
    return JsonResponse({"reply": str(reply_id)}, status=HTTPStatus.ACCEPTED)


@api("PUT", "DELETE")
async def rating(request: HttpRequest, chat_id: uuid.UUID, reply_id: uuid.UUID) -> HttpResponse:
    """PUT: rate an answer “up” or “down”. DELETE: take that back."""
    user = await require_user_for_change(request)
    value = json_body(request).get("rating") if request.method == "PUT" else None
    if request.method == "PUT" and value not in ("up", "down"):
        raise BadRequest("“rating” must be up or down.")
    await ratings.rate(user, chat_id, reply_id, value or "none", change_id(request))
    return JsonResponse({"reply": str(reply_id), "rating": value})


# One chat


@api("GET", "PATCH", "DELETE")
async def chat(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """GET: the chat's row of the list. PATCH: change title or instructions. DELETE: delete it, and
    stop its answers."""
    if request.method == "GET":
        user = await require_user(request)
        return JsonResponse({"chat": await sync_to_async(chat_lists.chat_row)(user, chat_id)})
    user = await require_user_for_change(request)
    if request.method == "DELETE":
        await notify_workers(await chats.delete(user, chat_id, change_id(request)))
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    body = json_body(request)
    done = {"chat": str(chat_id)}
    if "instructions" in body:
        done["instructions"] = instructions_field(body)
    if "title" in body or "instructions" not in body:
        done["title"] = " ".join(text_field(body, "title", max_chars=MAX_TITLE_CHARS).split())
        await chats.rename(user, chat_id, done["title"], change_id(request))
    if "instructions" in done:
        await chats.instruct(user, chat_id, done["instructions"])
    return JsonResponse(done)


@api("POST")
async def branch(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """POST: show this message among its siblings."""
    user, body = await require_user_for_change(request), json_body(request)
    message_id = read_uuid(body.get("message"), "message")
    await chats.choose_branch(user, chat_id, message_id, change_id(request))
    return JsonResponse({"chat": str(chat_id), "message": str(message_id)})


@api("GET")
async def events(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """GET: the chat's events after an entry, as the socket sends them."""
    user = await require_user(request)
    await sync_to_async(chats.own_chat)(user, chat_id)
    after, limit = request.GET.get("after"), request.GET.get("limit", str(EVENTS_PAGE))
    if after is not None and not is_cursor(after):
        raise BadRequest("“after” must be an entry id.")
    if not re.fullmatch(r"[0-9]{1,4}", limit) or not 1 <= int(limit) <= EVENTS_PAGE:
        raise BadRequest(f"“limit” must be a number from 1 to {EVENTS_PAGE}.")
    # Read one more than is returned, to know whether there are more.
    entries, has_more = await get_log().read_page(user.stream, str(chat_id), after, int(limit) + 1)
    shown = entries[: int(limit)]
    listed = b",".join(b'["%s",%s]' % (entry.id.encode(), entry.data) for entry in shown)
    more = orjson.dumps(has_more)
    return HttpResponse(
        b'{"entries":[%s],"more":%s}' % (listed, more), content_type="application/json"
    )


# Lists


@api("GET")
async def models(request: HttpRequest) -> HttpResponse:
    """GET: all models; 304 if unchanged. Encoded in a thread: ten keys have thousands of models."""
    offered, default = await _offered(await _person(request))
    return await sync_to_async(_models_response, thread_sensitive=False)(request, offered, default)


def _models_response(
    request: HttpRequest, offered: list[Offer], default: str | None
) -> HttpResponse:
    shown = [offer.to_json() for offer in offered]
    body = orjson.dumps({"models": shown, "default": default})
    etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    response = HttpResponse(body, content_type="application/json")
    response["Cache-Control"] = "private, no-cache"
    response["ETag"] = etag
    conditional = get_conditional_response(request, etag=etag, response=response)
    assert isinstance(conditional, HttpResponse)  # None only without a response.
    COMPRESS.process_response(request, conditional)  # in place
    return conditional


# Private


async def _person(request: HttpRequest) -> User | None:
    user = await request.auser()
    return user if isinstance(user, User) and user.is_active else None


async def _offered(person: User | None) -> tuple[list[Offer], str | None]:
    """The models that this person may use, and the id of the default one."""
    available, default = await models_for(person)
    offers = await offered_models(available)
    if offers and default not in {offer.model.id for offer in offers}:
        default = offers[0].model.id
    return offers, default if offers else None


async def _known_model(person: User | None, body: dict[str, Any]) -> Model:
    name = text_field(body, "model", max_chars=MAX_TITLE_CHARS)
    try:
        return await find_for(person, name)
    except UnknownModelError as error:
        raise ModelUnknown from error


def _accepted(reply: Reply) -> JsonResponse:
    return JsonResponse(
        {"chat": str(reply.chat_id), "message": str(reply.prompt_id), "reply": str(reply.id)},
        status=HTTPStatus.ACCEPTED,
    )
