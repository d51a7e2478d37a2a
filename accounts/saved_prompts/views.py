"""The pages of saved prompts, which work without JavaScript, and the list for the composer."""

import uuid
from http import HTTPStatus

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import limits
from accounts.client_address import address_context
from accounts.errors import AccountsError, MethodNotAllowed
from accounts.models import SavedPrompt, User
from accounts.people import require_person, require_user
from accounts.refusals import refusal_response
from accounts.saved_prompts import store
from accounts.saved_prompts.forms import PromptForm


@never_cache
@require_safe
async def prompts(request: HttpRequest) -> HttpResponse:
    """The list."""
    person = await request.auser()
    if not isinstance(person, User):
        return redirect_to_login(request.get_full_path())
    rows = [row async for row in store.prompts_of(person)]
    context = {"rows": rows, "is_full": len(rows) >= store.MAX_PROMPTS, "most": store.MAX_PROMPTS}
    return await sync_to_async(render)(request, "accounts/prompts.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
async def prompt(request: HttpRequest, prompt_id: uuid.UUID | None = None) -> HttpResponse:
    """The form of a new prompt, or of this one. POST saves it."""
    person = await request.auser()
    if not isinstance(person, User):
        return redirect_to_login(request.get_full_path())
    row = await _own(person, prompt_id) if prompt_id else None
    if request.method != "POST":
        initial = {"title": row.title, "text": row.text} if row else {}
        return await _form_page(request, PromptForm(initial=initial), row)
    form = PromptForm(request.POST)
    if not form.is_valid():
        return await _form_page(request, form, row)
    try:
        with address_context(request):
            await sync_to_async(limits.take_change)(person)
            await store.save(person, row, **form.cleaned_data)
    except AccountsError as error:
        form.add_error(None, error.message)
        response = await _form_page(request, form, row, status=error.status)
        for name, value in error.headers.items():
            response[name] = value
        return response
    messages.success(request, _("Saved."))
    return redirect("accounts:prompts")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
async def remove(request: HttpRequest, prompt_id: uuid.UUID) -> HttpResponse:
    """GET asks whether to delete the prompt, POST deletes it."""
    person = await request.auser()
    if not isinstance(person, User):
        return redirect_to_login(request.get_full_path())
    row = await _own(person, prompt_id)
    if request.method != "POST":
        context = {"row": row}
        return await sync_to_async(render)(request, "accounts/prompt_delete.html", context)
    await store.remove(person, row.id)
    messages.success(request, _("“%(title)s” is deleted.") % {"title": row.title})
    return redirect("accounts:prompts")


@never_cache
async def api_prompts(request: HttpRequest) -> HttpResponse:
    """GET: the person's saved prompts, by title. A page names its person (`?person=`), because it
    keeps the prompts as theirs."""
    try:
        if request.method != "GET":
            raise MethodNotAllowed(("GET",))
        person = await require_user(request)
        require_person(person, request.GET.get("person"))
    except AccountsError as error:
        return refusal_response(error)
    rows = [
        {"id": str(row.id), "title": row.title, "text": row.text}
        async for row in store.prompts_of(person)
    ]
    return JsonResponse({"prompts": rows})


async def _own(person: User, prompt_id: uuid.UUID) -> SavedPrompt:
    row = await store.prompts_of(person).filter(id=prompt_id).afirst()
    if row is None:
        raise Http404
    return row


async def _form_page(
    request: HttpRequest,
    form: PromptForm,
    row: SavedPrompt | None,
    *,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    context = {"form": form, "row": row}
    page = sync_to_async(render)
    return await page(request, "accounts/prompt_form.html", context, status=status)
