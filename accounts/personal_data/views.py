"""The pages where people download their data or delete their account."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.core.files.storage import default_storage
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import limits
from accounts.errors import LimitReached
from accounts.guests.visitor import forget_visitor
from accounts.models import Export, User
from accounts.personal_data import deletion_request
from accounts.personal_data import export as exports
from accounts.sign_in.decorators import person_required
from accounts.sign_in.limits import limit_page
from accounts.sign_in.recent_proof import ask_for_proof

CHUNK_BYTES = 256_000


@never_cache
@require_safe
@person_required()
def data(request: HttpRequest, person: User) -> HttpResponse:
    """The state of the export, and where to begin deleting. Reloads itself during an export."""
    export = Export.objects.filter(person=person).first()
    return render(
        request,
        "accounts/data.html",
        {
            "export": export,
            "is_being_made": export is not None and _is_being_made(export),
            "keep_days": settings.EXPORT_KEEP_DAYS,
            "grace_days": settings.ACCOUNT_DELETION_GRACE_DAYS,
        },
    )


@never_cache
@require_safe
def export_status(request: HttpRequest) -> HttpResponse:
    """The state of the export for the page's script, as JSON: {state, done, total, said}.

    `state` is null without an export; `said` is the progress as a sentence.
    """
    person = request.user
    if not isinstance(person, User):
        return JsonResponse({"state": None}, status=401)
    export = Export.objects.filter(person=person).first()
    if export is None:
        return JsonResponse({"state": None, "done": 0, "total": 0})
    told = {"done": export.done, "total": export.total}
    packed = ngettext(
        "%(done)d of %(total)d chat packed.", "%(done)d of %(total)d chats packed.", export.total
    )
    return JsonResponse(
        {"state": export.state, **told, "said": packed % told if export.total else ""}
    )


@never_cache
@require_POST
@person_required(back="accounts:data")
def ask_for_export(request: HttpRequest, person: User) -> HttpResponse:
    if sign_in := ask_for_proof(request, person, reverse("accounts:data")):
        return sign_in
    existing = Export.objects.filter(person=person).first()
    if existing is None or not _is_being_made(existing):
        try:
            limits.take_export(person)
        except LimitReached as error:
            return limit_page(request, error)
        exports.ask(person)
    return redirect("accounts:data")


@never_cache
@require_POST
@person_required(back="accounts:data")
def remove_export(request: HttpRequest, person: User) -> HttpResponse:
    """Delete the finished export, because it counts towards its owner's storage."""
    if export := exports.ready_export(person):
        exports.remove(export)
    return redirect("accounts:data")


@never_cache
@require_safe
async def download(request: HttpRequest) -> HttpResponseBase:
    """The export, for its owner after a recent reauthentication."""
    export, elsewhere = await sync_to_async(_export_to_download)(request)
    if export is None:
        return elsewhere
    try:
        file = await asyncio.to_thread(default_storage.open, export.file_name())
    except FileNotFoundError:
        await sync_to_async(exports.remove)(export)
        messages.error(request, _("The archive is not there any more. Prepare another one."))
        return redirect("accounts:data")
    name = f"holdfast-{export.created_at:%Y-%m-%d}.zip"
    response = StreamingHttpResponse(_chunks(file), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Content-Length"] = str(export.size_bytes)
    response["X-Content-Type-Options"] = "nosniff"
    return response


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@person_required()
def delete(request: HttpRequest, person: User) -> HttpResponse:
    """Lists the data that is deleted and kept; POST with the typed email requests the deletion."""
    if request.method == "POST" and person.is_guest:
        return _delete_guest(request, person)
    if sign_in := ask_for_proof(request, person, reverse("accounts:delete")):
        return sign_in
    context: dict[str, Any] = {
        "grace_days": settings.ACCOUNT_DELETION_GRACE_DAYS,
        "is_last_operator": deletion_request.is_last_operator(person),
    }
    if request.method == "POST" and not context["is_last_operator"]:
        if request.POST.get("confirmation", "").strip().lower() == person.email:
            return _delete_account(request, person)
        context["problem"] = _("This is not the address of your account. Nothing has been deleted.")
    return render(request, "accounts/delete.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@person_required()
def keep(request: HttpRequest, person: User) -> HttpResponse:
    """The page for people who have requested the deletion; POST keeps the account."""
    if not person.is_leaving:
        return redirect("accounts:settings")
    if request.method == "POST":
        if deletion_request.keep(person, request):
            messages.success(request, _("Your account stays. Everything is as it was."))
            return redirect("accounts:settings")
        return redirect("chat:page")
    return render(request, "accounts/leaving.html", {"due_at": person.deletion_due_at})


# Private


def _is_being_made(export: Export) -> bool:
    return export.state in (Export.State.WAITING, Export.State.BUILDING)


def _export_to_download(request: HttpRequest) -> tuple[Export | None, HttpResponse]:
    """The export that can be downloaded, or None and where to go instead."""
    person, back = request.user, reverse("accounts:data")
    if not isinstance(person, User):
        return None, redirect_to_login(back)
    if sign_in := ask_for_proof(request, person, reverse("accounts:download")):
        return None, sign_in
    export = exports.ready_export(person)
    if export is None:
        messages.error(request, _("There is no archive to download. Prepare one first."))
    return export, redirect(back)


async def _chunks(file: Any) -> AsyncIterator[bytes]:
    # Not FileResponse: under ASGI Django would read the whole file before sending any of it.
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        await asyncio.to_thread(file.close)


def _delete_guest(request: HttpRequest, guest: User) -> HttpResponse:
    deletion_request.erase_guest(guest)
    logout(request)
    response = render(request, "accounts/deleted.html", {"was_guest": True})
    forget_visitor(response)
    return response


def _delete_account(request: HttpRequest, person: User) -> HttpResponse:
    deletion_request.ask(person, request)
    due_at = person.deletion_due_at
    # All sessions were deleted, including this one, which must not be saved again.
    logout(request)
    grace_days = settings.ACCOUNT_DELETION_GRACE_DAYS
    return render(request, "accounts/deleted.html", {"due_at": due_at, "grace_days": grace_days})
