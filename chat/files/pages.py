"""The page of a person's files, largest first, on which each can be deleted."""

import uuid

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import limits
from accounts.errors import LimitReached
from accounts.models import User
from accounts.sign_in.limits import limit_page
from chat.files import uploads
from chat.models import StoredFile

SHOWN = 200


@never_cache
@require_safe
def files(request: HttpRequest) -> HttpResponse:
    """The largest files, and how much all of them take."""
    person = request.user
    if not isinstance(person, User):
        return redirect_to_login(request.get_full_path())
    ready = StoredFile.objects.filter(owner=person, state=StoredFile.State.READY)
    context = {
        "rows": ready.select_related("chat").order_by("-stored_bytes", "id")[:SHOWN],
        "number": ready.count(),
        "shown": SHOWN,
        "used": uploads.stored_bytes_of(person),
        "quota": uploads.quota_of(person),
    }
    return render(request, "chat/files.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, file_id: uuid.UUID) -> HttpResponse:
    """GET asks whether to delete the file, POST deletes it."""
    person = request.user
    if not isinstance(person, User):
        return redirect_to_login(request.get_full_path())
    rows = StoredFile.objects.exclude(state=StoredFile.State.ERASED)
    row = rows.select_related("chat").filter(id=file_id, owner=person).first()
    if row is None:
        raise Http404
    if request.method != "POST":
        return render(request, "chat/file_delete.html", {"row": row})
    try:
        limits.take_change(person)
    except LimitReached as error:
        return limit_page(request, error)
    uploads.delete_file(person, file_id)
    messages.success(request, _("“%(name)s” is deleted.") % {"name": row.name})
    return redirect("chat:files-page")
