"""Pages about a person's own account."""

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import sessions as account_sessions
from accounts.devices import device_name
from accounts.models import SecurityEvent, User
from accounts.preferences.locale import zone_name
from accounts.security_events import record
from accounts.sign_in.decorators import account_required

EVENTS_A_PAGE = 50


@never_cache
@require_safe
def security_events(request: HttpRequest) -> HttpResponse:
    """The security events of this person's account, newest first."""
    person = request.user
    if not isinstance(person, User) or person.is_guest:
        return redirect("chat:page")
    events = SecurityEvent.objects.filter(person=person).order_by("-at", "-id")
    page = Paginator(events, EVENTS_A_PAGE).get_page(request.GET.get("page"))
    return render(
        request, "accounts/security_events.html", {"page": page, "time_zone": zone_name()}
    )


@never_cache
@require_safe
@account_required()
def account(request: HttpRequest, person: User) -> HttpResponse:
    """Links to all pages about signing in."""
    return render(request, "accounts/account.html")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@account_required()
def sessions(request: HttpRequest, person: User) -> HttpResponse:
    """The person's sessions. POST ends one (`session`, its number) or all others (`others`)."""
    if request.method == "POST":
        return _end_sessions(request, person)
    rows = [
        {
            "session": session,
            "device": device_name(session.user_agent),
            "is_current": session.session_key == request.session.session_key,
        }
        for session in account_sessions.sessions_of(person)
    ]
    return render(request, "accounts/sessions.html", {"rows": rows})


def _ended_text(count: int) -> str:
    if count == 1:
        return _("Signed out there.")
    return ngettext("%(count)d session ended.", "%(count)d sessions ended.", count) % {
        "count": count
    }


def _end_sessions(request: HttpRequest, person: User) -> HttpResponse:
    if "others" in request.POST:
        ended = account_sessions.end_others(request, person)
        note = "All other sessions"
    else:
        wanted = request.POST.get("session", "")
        number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 else 0
        session = get_object_or_404(UserSession, pk=number, user=person)
        if session.session_key == request.session.session_key:
            return redirect("account_logout")
        with translation.override(settings.LANGUAGE_CODE):  # The record is in one language.
            note = device_name(session.user_agent)
        account_sessions.end(session)
        ended = 1
    if ended:
        record(person, SecurityEvent.Kind.SESSION_REVOKED, request, note=note)
        messages.success(request, _ended_text(ended))
    return redirect("accounts:sessions")
