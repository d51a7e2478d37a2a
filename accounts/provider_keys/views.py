"""The page about a person's own provider keys.

A key is entered in a form and never shown again. Adding or replacing one needs a recent
reauthentication, which is asked for before the form is shown: allauth stores a request that it
interrupts in the session, and the key would be there in plain text.
"""

import uuid
from typing import Any
from urllib.parse import urlencode

from allauth.account.decorators import reauthentication_required
from allauth.core.exceptions import ReauthenticationRequired
from django.contrib import messages
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from accounts import limits
from accounts.errors import LimitReached
from accounts.models import ProviderKey, User
from accounts.provider_keys import store as provider_keys
from accounts.provider_keys.forms import OPEN_FIELDS, KeyForm
from accounts.provider_keys.probe import SAVED_WITH_WARNING, Verdict, check, sentence
from accounts.provider_keys.providers import CUSTOM, PROVIDERS
from accounts.sign_in.allauth_internals import is_reauthentication_required
from accounts.sign_in.decorators import account_required
from accounts.sign_in.limits import limit_page

Status = ProviderKey.Status
TOO_MANY = gettext_noop(
    "You have a key of this provider already: replace that one, or remove it first. "
    "Of other providers you can have %(most)d."
)


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@account_required(back="accounts:keys")
def keys(request: HttpRequest, person: User) -> HttpResponse:
    """GET: the list, or with `add` or `replace` the form. POST: check a key and save it."""
    if request.method == "POST":
        return _save(request, person)
    if "add" in request.GET or "replace" in request.GET:
        return _show_form(request, person)
    rows = provider_keys.keys_of(person)
    have = {row.provider for row in rows}
    offered = [p for p in PROVIDERS.values() if p.name == CUSTOM or p.name not in have]
    context = {"rows": [_row_context(row) for row in rows], "offered": offered}
    return render(request, "accounts/keys.html", context)


@never_cache
@require_POST
@account_required(back="accounts:keys")
def key(request: HttpRequest, person: User, key_id: uuid.UUID) -> HttpResponse:
    """POST: `check` has a worker check the key again, `remove` removes it."""
    row = get_object_or_404(ProviderKey, id=key_id, owner=person)
    if "remove" in request.POST:
        removed: HttpResponse = _remove(request, row)
        return removed
    if "check" in request.POST:
        return _check_again(request, person, row)
    return redirect("accounts:keys")


@reauthentication_required  # type: ignore[untyped-decorator]
def _remove(request: HttpRequest, row: ProviderKey) -> HttpResponse:
    name = provider_keys.display_name(row)
    provider_keys.remove(row, request)
    messages.success(
        request, _("%(key)s is removed. No call is made with it any more.") % {"key": name}
    )
    return redirect("accounts:keys")


def _check_again(request: HttpRequest, person: User, row: ProviderKey) -> HttpResponse:
    try:
        limits.take("LIMIT_KEY_CHECKS_PER_HOUR_USER", person.id.hex)
    except LimitReached as error:
        return limit_page(request, error)
    provider_keys.want_check(row, ProviderKey.Check.FULL)
    messages.success(request, _("The key is being checked. Reload this page in a moment."))
    return redirect("accounts:keys")


# The form


def _show_form(request: HttpRequest, person: User) -> HttpResponse:
    provider, replaces = _wanted(request.GET, person)
    if is_reauthentication_required(request, app="account"):
        raise ReauthenticationRequired
    initial = {name: request.GET.get(name, "")[:300] for name in OPEN_FIELDS}
    if replaces:
        models = ", ".join(provider_keys.named_models(replaces))
        initial = {"label": replaces.label, "base_url": replaces.base_url, "models": models}
    return _render_form(request, KeyForm(provider, initial=initial), replaces)


@sensitive_variables()
def _save(request: HttpRequest, person: User) -> HttpResponse:
    provider, replaces = _wanted(request.POST, person)
    if is_reauthentication_required(request, app="account"):
        messages.warning(request, _("Nothing was saved: first prove that it is you."))
        return redirect(_form_url(request, provider, replaces))
    form = KeyForm(provider, request.POST)
    if not form.is_valid():
        return _render_form(request, form, replaces)
    try:
        limits.take("LIMIT_KEY_CHECKS_PER_HOUR_USER", person.id.hex)
    except LimitReached as error:
        form.add_error(None, error.message)
        response = _render_form(request, form, replaces, status=error.status)
        for name, value in error.headers.items():
            response[name] = value
        return response
    entered = form.cleaned_data
    url, named = entered.get("base_url", ""), entered.get("models", [])
    if not connection.in_atomic_block:
        connection.close()  # Free for others while this request waits for the provider.
    verdict = check(provider, url, entered["key"], ask_model=True, named=named)
    if not _may_save(request, verdict):
        _refuse(form, verdict, provider)
        return _render_form(request, form, replaces, verdict=verdict)
    try:
        row = provider_keys.save(
            person,
            provider,
            entered["key"],
            verdict,
            request,
            label=entered.get("label", ""),
            base_url=url,
            named=named,
            replaces=replaces,
        )
    except provider_keys.TooManyKeysError:
        form.add_error(None, _(TOO_MANY) % {"most": provider_keys.MAX_CUSTOM})
        return _render_form(request, form, replaces)
    except provider_keys.KeyGoneError as error:
        raise Http404 from error
    _add_saved_message(request, row, verdict)
    return redirect("accounts:keys")


def _refuse(form: KeyForm, verdict: Verdict, provider: str) -> None:
    """Add the problem to the field that it is about; warnings are shown by `_render_form`."""
    if verdict.names_missing:
        form.add_error("models", verdict.names_missing)
    elif verdict.status not in SAVED_WITH_WARNING:
        about_url = verdict.status in (Status.WRONG_URL, Status.NOT_ALLOWED)
        form.add_error("base_url" if about_url else "key", sentence(verdict.status, provider))


def _may_save(request: HttpRequest, verdict: Verdict) -> bool:
    if verdict.status == Status.OK:
        return True
    # The person must have confirmed this very warning.
    confirmed = request.POST.get("save_anyway") == verdict.status
    return verdict.status in SAVED_WITH_WARNING and confirmed


def _add_saved_message(request: HttpRequest, row: ProviderKey, verdict: Verdict) -> None:
    name = provider_keys.display_name(row)
    if verdict.status == Status.OK:
        messages.success(
            request, _("%(key)s works and is saved. Its models are in your list.") % {"key": name}
        )
    else:
        messages.warning(
            request,
            " ".join([_("%(key)s is saved.") % {"key": name}, sentence(row.status, row.provider)]),
        )


def _wanted(query: QueryDict, person: User) -> tuple[str, ProviderKey | None]:
    """The provider, and the key to replace, if any. Raises Http404."""
    if wanted := query.get("replace"):
        try:
            replaces = ProviderKey.objects.get(id=uuid.UUID(wanted), owner=person)
        except (ValueError, ProviderKey.DoesNotExist) as error:
            raise Http404 from error
        return replaces.provider, replaces
    provider = query.get("add", "")
    if provider not in PROVIDERS:
        raise Http404
    return provider, None


def _form_url(request: HttpRequest, provider: str, replaces: ProviderKey | None) -> str:
    """The form's URL, with the entered values that are no secrets."""
    query = {"replace": str(replaces.id)} if replaces else {"add": provider}
    entered_key = request.POST.get("key", "").strip()
    for name in OPEN_FIELDS:
        value = request.POST.get(name, "")[:300]
        if value and provider == CUSTOM and not (entered_key and entered_key in value):
            query[name] = value
    return f"{reverse('accounts:keys')}?{urlencode(query)}"


def _render_form(
    request: HttpRequest,
    form: KeyForm,
    replaces: ProviderKey | None,
    *,
    verdict: Verdict | None = None,
    status: int = 200,
) -> HttpResponse:
    warning = None
    if verdict and verdict.status in SAVED_WITH_WARNING:
        text = sentence(verdict.status, form.provider.name)
        warning = {"status": verdict.status.value, "text": text}
    context = {"form": form, "provider": form.provider, "replaces": replaces, "warning": warning}
    return render(request, "accounts/key_form.html", context, status=status)


def _row_context(row: ProviderKey) -> dict[str, Any]:
    return {
        "key": row,
        "name": provider_keys.display_name(row),
        "problem": sentence(row.status, row.provider),
        "models": len(row.model_list),
        "is_custom": row.provider == CUSTOM,
    }
