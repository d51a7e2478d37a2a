"""Read-only browsing of users' logs.

The log has no table. UserLog is an unmanaged model without fields, so that the admin's index, URLs
and the permission streams.view_userlog work as for any other model. The two pages are custom. The
permission lets staff read everything a user wrote, so grant it with care.
"""

import datetime
import json
import logging
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from .browse import ALWAYS, CHATS_SHOWN, LogPage, Span, log_page, open_client
from .errors import InvalidCursorError, InvalidNameError, LogUnavailableError
from .models import UserLog

logger = logging.getLogger(__name__)

MAX_USERS = 50
# Longer entries are truncated; `show` selects one to display in full.
PREVIEW_BYTES = 200


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as a line of the table."""

    id: str
    time: datetime.datetime
    chat: str
    type: str
    size_bytes: int
    preview: str
    pretty: str
    url: str
    chat_url: str
    type_url: str


@admin.register(UserLog)
class UserLogAdmin(admin.ModelAdmin[UserLog]):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: UserLog | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: UserLog | None = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Choose a user by email or id."""
        self._require_permission(request)
        query = request.GET.get("q", "").strip()
        people = [
            {"name": str(user), "id": user.pk, "stream": _stream(user), "url": _log_url(user)}
            for user in (_find_users(query) if query else [])
        ]
        context = self._context(request, query=query, people=people, max_users=MAX_USERS)
        return TemplateResponse(request, "admin/streams/userlog/users.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the log of the user with this id."""
        self._require_permission(request)
        user = _get_user(object_id)
        context = self._context(request, person=user, stream=_stream(user))
        context |= log_context(_stream(user), request.GET)
        return TemplateResponse(request, "admin/streams/userlog/log.html", context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Raise Http404: logs have no history, and Django would query a table that does not
        exist."""
        self._require_permission(request)
        raise Http404

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        raise PermissionDenied

    def _require_permission(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _context(self, request: HttpRequest, **context: Any) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("User logs"),
            **context,
        }


def _find_users(query: str) -> "QuerySet[AbstractBaseUser]":
    """Match part of the email, or the whole id with or without dashes and the stream's prefix."""
    model = get_user_model()
    wanted = Q(**{f"{model.get_email_field_name()}__icontains": query})
    with suppress(ValueError):
        wanted |= Q(pk=uuid.UUID(query.rpartition(":")[2]))
    return model._default_manager.filter(wanted).order_by("pk")[:MAX_USERS]


def _get_user(object_id: str) -> AbstractBaseUser:
    model = get_user_model()
    try:
        return model._default_manager.get(pk=object_id)
    except (model.DoesNotExist, ValidationError, ValueError) as error:
        raise Http404(_("There is no such user.")) from error


def _stream(user: Any) -> str:
    """The name of the user's log: all that this app knows about the user model."""
    stream: str = user.stream
    return stream


def _log_url(user: AbstractBaseUser) -> str:
    return reverse("admin:streams_userlog_change", args=[user.pk])


def log_context(
    stream: str, query: QueryDict, span: Span = ALWAYS, kept: dict[str, str] | None = None
) -> dict[str, Any]:
    """The context of admin/streams/userlog/_entries.html for the entries of a log in `span`.

    `kept` holds query parameters that the links and the form preserve. Raises Http404.
    """
    kept = kept or {}
    asked = {name: query.get(name, "") for name in ("chat", "type", "text", "after", "before")}
    try:
        with open_client() as client:
            page = log_page(client, settings.STREAMS_PREFIX, stream, **asked, span=span)
    except (InvalidCursorError, InvalidNameError) as error:
        raise Http404(str(error)) from error
    except LogUnavailableError:
        logger.exception("The log could not be read")
        return {"asked": asked, "kept": kept, "unavailable": True}
    return {"asked": asked, "kept": kept} | _page_context(page, asked, kept, query.get("show", ""))


def _page_context(
    page: LogPage, asked: dict[str, str], more: dict[str, str], show: str
) -> dict[str, Any]:
    kept = {name: value for name, value in asked.items() if value} | more
    filters = {name: value for name, value in kept.items() if name not in ("after", "before")}

    def link(**change: str) -> str:
        return "?" + urlencode(filters | change)

    rows = [
        Row(
            id=entry.id,
            time=datetime.datetime.fromtimestamp(entry.ms / 1000, datetime.UTC),
            chat=entry.chat,
            type=entry.type,
            size_bytes=len(entry.data),
            preview=_preview(entry.data),
            pretty=_pretty(entry.data) if entry.id == show else "",
            url="?" + urlencode(kept | {"show": entry.id}) + f"#{entry.id}",
            chat_url="?" + urlencode(more | {"chat": entry.chat}),
            type_url=link(type=entry.type),
        )
        for entry in page.entries
    ]
    return {
        "rows": rows,
        "first_url": link(after="0-0"),
        "last_url": link(),
        "older_url": link(before=page.older) if page.older else "",
        "newer_url": link(after=page.newer) if page.newer else "",
        "chats": page.chats,
        "more_chats": len(page.chats) >= CHATS_SHOWN,
        "types": page.types,
        "length": page.length,
        "searched_only": page.searched_only,
    }


def _preview(data: bytes) -> str:
    text = data[:PREVIEW_BYTES].decode(errors="replace")
    return text + "…" if len(data) > PREVIEW_BYTES else text


def _pretty(data: bytes) -> str:
    try:
        return json.dumps(json.loads(data), indent=2, ensure_ascii=False)
    except ValueError:
        return data.decode(errors="replace")
