"""The page of a person's settings. Each panel is a form that works without JavaScript; with it,
static/js/settings/main.js saves each change at once."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_http_methods

from accounts import personal_data_registry, storage
from accounts.errors import (
    AccountsError,
    LimitReached,
    PictureTooLarge,
    SettingsRefused,
    room_after,
)
from accounts.guests.visitor import begin_guest
from accounts.models import Preferences, User
from accounts.people import initials
from accounts.preferences import store as preferences
from accounts.preferences.api import take_picture
from accounts.preferences.uploads import is_too_large
from accounts.preferences.zones import listed_zones
from accounts.sign_in.limits import limit_page

# The fields of each panel. Browsers do not send a checkbox that is not ticked.
PANELS: dict[str, tuple[str, ...]] = {
    "profile": ("name",),
    "look": ("appearance", "language", "time_zone"),
    "chat": (
        "send_key",
        "default_model",
        "instructions",
        "answer_notifications",
        "background_calls",
    ),
}
CHECKBOXES = {"answer_notifications", "background_calls"}


@never_cache
@ensure_csrf_cookie
@require_http_methods(["GET", "HEAD", "POST"])
async def settings_page(request: HttpRequest) -> HttpResponse:
    """POST saves one panel (`panel`), sets the picture (`panel=picture`) or removes it
    (`panel=no-picture`). With `?begin` a visitor becomes a guest, who has settings."""
    user = await request.auser()
    if request.method == "POST" and "begin" in request.GET:
        return await sync_to_async(_begin)(request)
    if not isinstance(user, User):
        return redirect_to_login(request.get_full_path())
    if request.method != "POST":
        return await _page(request, user)
    try:
        message = await _save(request, user)
    except AccountsError as error:
        return await _page(request, user, error)
    messages.success(request, message)
    return redirect("accounts:settings")


def _begin(request: HttpRequest) -> HttpResponse:
    """Sync."""
    try:
        # In another tab the visitor may be somebody by now.
        person = request.user if isinstance(request.user, User) else begin_guest(request)
    except LimitReached as error:
        return limit_page(request, error)
    return redirect_to_login(request.path) if person is None else redirect(request.path)


async def _save(request: HttpRequest, user: User) -> str:
    """Save the submitted form; returns a message for the person. Raises AccountsError."""
    if is_too_large(request):
        raise PictureTooLarge
    panel = request.POST.get("panel", "")
    if panel == "picture":
        await take_picture(request, user)
        return gettext("Your picture is set.")
    if panel == "no-picture":
        await sync_to_async(preferences.change_picture)(user, None)
        return gettext("Your picture is gone.")
    if panel not in PANELS:
        raise SettingsRefused(message=gettext("This form is out of date. Reload the page."))
    await sync_to_async(preferences.change)(user, _form_values(request.POST, PANELS[panel]))
    return gettext("Saved.")


def _form_values(form: Mapping[str, str], names: tuple[str, ...]) -> dict[str, object]:
    boxes: dict[str, object] = {name: name in form for name in names if name in CHECKBOXES}
    return boxes | {name: form[name] for name in names if name in form and name not in CHECKBOXES}


async def _page(
    request: HttpRequest, user: User, error: AccountsError | None = None
) -> HttpResponse:
    row = await sync_to_async(preferences.preferences_of)(user)
    values: dict[str, Any] = preferences.settings_json(user, row)
    if error is not None:  # The form keeps what was entered.
        values |= _form_values(request.POST, PANELS.get(request.POST.get("panel", ""), ()))
    context = {
        "values": values,
        "initials": initials(user),
        "error": error,
        "picture_error": error if request.POST.get("panel") == "picture" else None,
        "field_errors": error.fields if isinstance(error, SettingsRefused) else {},
        "models": await _models(user, values["default_model"]),
        "appearances": Preferences.Appearance.choices,
        "send_keys": Preferences.SendKey.choices,
        "languages": settings.LANGUAGES if len(settings.LANGUAGES) > 1 else [],
        "zones": _zones(values["time_zone"]),
        "max_name": preferences.MAX_NAME_CHARS,
        "max_instructions": preferences.MAX_INSTRUCTIONS_CHARS,
        "background_calls_possible": settings.BACKGROUND_CALLS,
        "stored": await storage.stored_for_page(user),
        "room_after": room_after(),
    }
    status = error.status if error else HTTPStatus.OK
    response = await sync_to_async(render)(
        request, "accounts/settings.html", context, status=status
    )
    for name, value in (error.headers if error else {}).items():
        response[name] = value
    return response


async def _models(user: User, chosen: str) -> list[tuple[str, str]]:
    """(id, name) of the available models, and of the chosen one if it is not available now."""
    offered = [
        model for listed in personal_data_registry.model_choices for model in await listed(user)
    ]
    if chosen and chosen not in {model for model, _ in offered}:
        offered.append((chosen, gettext("%(model)s (not available now)") % {"model": chosen}))
    return offered


def _zones(chosen: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """[(continent, [(zone name, city)])]. Aliases are accepted, but offered only if one is
    `chosen`."""
    continents: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(listed_zones() | ({chosen} & preferences.time_zones())):
        continent, _, city = name.partition("/")
        if city and continent in CONTINENTS:
            continents.setdefault(gettext(CONTINENTS[continent]), []).append(
                (name, city.replace("_", " "))
            )
    return [("", [("UTC", "UTC")]), *continents.items()]


CONTINENTS = {
    "Africa": gettext_noop("Africa"),
    "America": gettext_noop("America"),
    "Antarctica": gettext_noop("Antarctica"),
    "Arctic": gettext_noop("Arctic"),
    "Asia": gettext_noop("Asia"),
    "Atlantic": gettext_noop("Atlantic"),
    "Australia": gettext_noop("Australia"),
    "Europe": gettext_noop("Europe"),
    "Indian": gettext_noop("Indian"),
    "Pacific": gettext_noop("Pacific"),
}
