"""The address that Stripe calls. What a call means is in billing/payments/stripe_webhooks.py."""

import logging
from http import HTTPStatus

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts import limits
from accounts.client_address import address_group, client_address
from accounts.errors import LimitReached
from accounts.refusals import error_response
from billing.payments import stripe_api, stripe_webhooks
from billing.payments.stripe_errors import PaymentError, WebhookRefused
from streams.errors import StreamsError

logger = logging.getLogger(__name__)


@csrf_exempt  # It carries no cookie; its signature is what is checked.
@require_POST
async def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """200 when dealt with, 400 with a code when it is not Stripe's, 503 to be called again."""
    if not stripe_api.enabled():
        raise Http404
    address = client_address(request)
    signature = request.headers.get("Stripe-Signature", "")
    body = request.read(stripe_webhooks.MAX_BODY_BYTES + 1)
    if len(body) > stripe_webhooks.MAX_BODY_BYTES:
        return await refuse_too_large(request)
    try:
        event = await sync_to_async(stripe_api.verified_event)(body, signature)
    except WebhookRefused as refused:
        return await _refuse(refused, body, address)
    try:
        outcome = await stripe_webhooks.receive(event, body, address)
    except PaymentError as error:
        logger.warning("webhook %s is to come again: %s", event.id, error.code)
        return JsonResponse({"error": {"code": error.code}}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    except StreamsError:
        logger.exception("the log is away; webhook %s is to come again", event.id)
        body_ = {"error": {"code": "log_unavailable"}}
        return JsonResponse(body_, status=HTTPStatus.SERVICE_UNAVAILABLE)
    return JsonResponse({"outcome": outcome})


async def refuse_too_large(request: HttpRequest) -> HttpResponse:
    """Instead of the view, for a body that was not let in (config/web/body_limits.py): nobody has
    read it. Noted like every other call."""
    if not stripe_api.enabled():
        raise Http404
    refused = WebhookRefused("too_large", "The body is larger than any of Stripe's.")
    return await _refuse(refused, None, client_address(request))


async def _refuse(refused: WebhookRefused, body: bytes | None, address: str) -> HttpResponse:
    """Note it, unless somebody fills the log with such calls; and say what is wrong with it."""
    try:
        await sync_to_async(limits.take_refused_webhook)(address_group(address))
    except LimitReached as limit:
        return HttpResponse(status=limit.status, headers=limit.headers)
    try:
        await stripe_webhooks.note_refusal(refused, body, address)
    except StreamsError:
        logger.exception("the log is away; a refused webhook is not in it")
    logger.warning("a webhook was refused: %s", refused.code)
    return error_response(refused.status, refused.code, refused.message)
