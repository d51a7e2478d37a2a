"""Mails receipts from a worker, after the payment was booked."""

import logging
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext

from accounts.mail import html_of, in_language_of, site_named
from accounts.models import User
from billing.models import TopUp
from billing.payments import top_ups

logger = logging.getLogger(__name__)

BATCH = 20


def mail_owed() -> int:
    """Send at most BATCH unsent receipts. Returns how many were sent. Sync; safe in many workers.

    A receipt that cannot be sent is retried with the next call. A crash while sending loses it,
    which is better than sending it twice: the receipt is still on its page.
    """
    owed = TopUp.objects.filter(state=TopUp.State.PAID, receipt_mailed_at=None).order_by("paid_at")
    return sum(_mail(top_up) for top_up in owed[:BATCH])


def _mail(top_up: TopUp) -> bool:
    unsent = TopUp.objects.filter(id=top_up.id, receipt_mailed_at=None)
    if not unsent.update(receipt_mailed_at=timezone.now()):
        return False  # Another worker sends it.
    email = User.objects.filter(id=top_up.person_id).values_list("email", flat=True).first()
    if not email:
        return False  # The account is gone.
    try:
        _message(top_up, email).send()
    except OSError:  # SMTPException is a subclass.
        logger.warning("could not send the receipt of top-up %s; will retry", top_up.id)
        TopUp.objects.filter(id=top_up.id).update(receipt_mailed_at=None)
        return False
    return True


def _message(top_up: TopUp, email: str) -> EmailMultiAlternatives:
    path = f"/billing/top-ups/{top_up.id}"
    context: dict[str, Any] = {
        "top_up": top_up,
        "address": settings.URL + path if settings.URL else "",
        **site_named(),
    }
    with in_language_of(top_up.person_id):
        subject = gettext("Your receipt from Holdfast")
        context["lines"] = top_ups.lines(top_up)
        text = render_to_string("billing/email/receipt.txt", context).strip() + "\n"
        message = EmailMultiAlternatives(subject, text, to=[email])
        message.attach_alternative(html_of(subject, text), "text/html")
    return message
