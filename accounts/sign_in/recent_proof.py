"""Reauthentication before actions that cannot be undone."""

import time
from urllib.parse import urlencode

from allauth.account import app_settings
from allauth.account.authentication import get_authentication_records
from allauth.core.exceptions import ReauthenticationRequired
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.sign_in.allauth_internals import get_reauthentication_flows

# The records of what the page of reauthentication asks for.
PROOFS = {"password", "mfa"}


def has_proved_lately(request: HttpRequest) -> bool:
    """Whether this person has given their password or second factor lately, to sign in or later.

    allauth counts only what was given after signing in, and so asks twice within seconds.
    """
    records = get_authentication_records(request, request.user)
    proofs = [record["at"] for record in records if record.get("method") in PROOFS]
    return bool(proofs) and time.time() - proofs[-1] < app_settings.REAUTHENTICATION_TIMEOUT


def ask_for_proof(request: HttpRequest, person: User, back: str) -> HttpResponse | None:
    """Require a recent reauthentication. Returns None after one, and for guests, who cannot
    reauthenticate.

    Otherwise raises ReauthenticationRequired, which leads to allauth's page. People with neither
    password nor second factor (they sign in by a code or a provider) are signed out and led to sign
    in again, because allauth would accept any session of theirs as proof.
    """
    if person.is_guest:
        return None
    if get_reauthentication_flows(person):
        if has_proved_lately(request):
            return None
        raise ReauthenticationRequired
    records = get_authentication_records(request, person)
    if records and time.time() - records[-1]["at"] < app_settings.REAUTHENTICATION_TIMEOUT:
        return None
    logout(request)
    messages.info(request, _("Sign in once more, so that we know it is you."))
    return redirect(f"{reverse('account_login')}?{urlencode({'next': back})}")
