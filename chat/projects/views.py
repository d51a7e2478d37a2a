"""The JSON API of projects; docs/protocol.md describes it."""

import unicodedata
import uuid
from http import HTTPStatus
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts.people import require_person, require_user
from chat.errors import BadRequest
from chat.models import Project
from chat.projects import store
from chat.projects.rows import own_project, projects_json
from chat.uuids import read_uuid
from chat.web.api import api, change_id, json_body, require_user_for_change


@api("GET", "POST")
async def project_list(request: HttpRequest) -> HttpResponse:
    """GET: the ids and names. POST: add a project, whose id the client makes."""
    if request.method == "GET":
        user = await require_user(request)
        require_person(user, request.GET.get("person"))
        return JsonResponse({"projects": await sync_to_async(projects_json)(user)})
    user, body = await require_user_for_change(request), json_body(request)
    require_person(user, body.get("person"))
    project_id, name = read_uuid(body.get("id"), "id"), _name(body.get("name"))
    instructions = _instructions(body.get("instructions", ""))
    project = await store.create(user, project_id, name, instructions)
    return JsonResponse({"project": _to_json(project)}, status=HTTPStatus.CREATED)


@api("GET", "PATCH", "DELETE")
async def project(request: HttpRequest, project_id: uuid.UUID) -> HttpResponse:
    """GET: the project. PATCH: change its name or instructions. DELETE: delete it; with
    `?chats=delete` its chats, too."""
    if request.method == "GET":
        user = await require_user(request)
        return _response(await sync_to_async(own_project)(user, project_id))
    user = await require_user_for_change(request)
    if request.method == "DELETE":
        kind = request.GET.get("chats", "keep")
        if kind not in ("keep", "delete"):
            raise BadRequest("“chats” must be keep or delete.")
        left = await store.remove(user, project_id, with_chats=kind == "delete")
        return JsonResponse({"left": left})
    body = json_body(request)
    if not body.keys() & {"name", "instructions"}:
        raise BadRequest("Send “name” or “instructions”.")
    name = _name(body["name"]) if "name" in body else None
    instructions = _instructions(body["instructions"]) if "instructions" in body else None
    return _response(await store.change(user, project_id, name, instructions))


@api("PUT", "DELETE")
async def chat_project(request: HttpRequest, chat_id: uuid.UUID) -> HttpResponse:
    """PUT: move the chat into a project. DELETE: out of the one that it is in."""
    user = await require_user_for_change(request)
    project_id = None
    if request.method == "PUT":
        project_id = read_uuid(json_body(request).get("project"), "project")
    await store.move(user, chat_id, project_id, change_id(request))
    named = str(project_id) if project_id else None
    return JsonResponse({"chat": str(chat_id), "project": named})


def _response(project: Project) -> JsonResponse:
    return JsonResponse({"project": _to_json(project)})


def _to_json(project: Project) -> dict[str, Any]:
    return {
        "id": str(project.id),
        "name": project.name,
        "instructions": project.instructions,
        "created_ms": round(project.created_at.timestamp() * 1000),
        "updated_ms": round(project.updated_at.timestamp() * 1000),
    }


def _name(value: object) -> str:
    """One line. Control characters and those that turn the direction would spoil the list."""
    if not isinstance(value, str):
        raise BadRequest("“name” must be a text.")
    shown = "".join(c for c in " ".join(value.split()) if _is_shown(c)).strip()
    if not 0 < len(shown) <= store.MAX_NAME_CHARS:
        raise BadRequest(f"“name” must have 1 to {store.MAX_NAME_CHARS} characters.")
    return shown


def _is_shown(character: str) -> bool:
    return unicodedata.category(character)[0] != "C" or character == "\u200d"


def _instructions(value: object) -> str:
    if not isinstance(value, str) or "\x00" in value:
        raise BadRequest("“instructions” must be a text without the character NUL.")
    lines = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(lines) > store.MAX_INSTRUCTIONS_CHARS:
        most = store.MAX_INSTRUCTIONS_CHARS
        raise BadRequest(f"“instructions” must have at most {most} characters.")
    return lines
