"""Mail that we send ourselves, and the HTML part of every mail, which is made from its text."""

import logging
import re
import uuid
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation

from accounts.models import Preferences, User

logger = logging.getLogger(__name__)

CODE = re.compile(r"[0-9A-Z-]{4,12}")
ADDRESS = re.compile(r"https?://\S+")


def send(person: User, template: str, context: dict[str, Any] | None = None) -> None:
    """Send `<template>_subject.txt` and `<template>_message.txt`. Sync.

    A guest has no address and gets no mail. A mail that cannot be sent is logged, not raised.
    """
    if not person.email:
        return
    values = {"person": person, "site": address_of("/"), **site_named(), **(context or {})}
    with in_language_of(person.id):
        subject = " ".join(render_to_string(f"{template}_subject.txt", values).split())
        text = render_to_string(f"{template}_message.txt", values).strip() + "\n"
        message = EmailMultiAlternatives(subject, text, to=[person.email])
        message.attach_alternative(html_of(subject, text), "text/html")
    try:
        message.send()
    except OSError:  # SMTPException is a subclass.
        logger.exception("the mail “%s” could not be sent", template)


def in_language_of(person_id: uuid.UUID) -> AbstractContextManager[None]:
    """Activate the language that the person has chosen, or else keep the current one: the page's in
    a web process, the site's in a worker. Takes a query if the site has several languages."""
    chosen = ""
    if len(settings.LANGUAGES) > 1:
        rows = Preferences.objects.filter(person_id=person_id)
        chosen = rows.values_list("language", flat=True).first() or ""
    return translation.override(chosen or translation.get_language())


def address_of(path: str) -> str:
    """The absolute URL of a path, without a request."""
    return (settings.URL or f"http://localhost:{settings.PORT}") + path


def site_named() -> dict[str, Any]:
    """The context of the footer, in the form that allauth uses for its own mails."""
    return {"current_site": {"domain": urlsplit(address_of("/")).netloc}}


def html_of(subject: str, text: str) -> str:
    """The HTML of a mail, converted by paragraph: a lone code or URL is highlighted, and the last
    paragraph is the footer."""
    *paragraphs, foot = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))
    blocks = [*map(_block, paragraphs), {"kind": "foot", "text": foot}]
    return render_to_string("mail/message.html", {"subject": subject, "blocks": blocks})


def _block(paragraph: str) -> dict[str, str]:
    if CODE.fullmatch(paragraph) and any(character.isdigit() for character in paragraph):
        return {"kind": "code", "text": paragraph}
    if ADDRESS.fullmatch(paragraph):
        return {"kind": "link", "text": paragraph}
    return {"kind": "text", "text": paragraph}
