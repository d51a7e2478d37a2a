"""The view that Stripe's webhook calls; billing/payments/stripe_webhooks.py handles the events."""

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


@csrf_exempt  # Calls carry no cookie; their signature is checked.
@require_POST
async def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """POST: 200 when handled, 400 with a code if the call is not Stripe's, 503 for a retry."""
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
        logger.warning("webhook %s failed, Stripe will retry: %s", event.id, error.code)
        return JsonResponse({"error": {"code": error.code}}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    except StreamsError:
        logger.exception("the log is unavailable; Stripe will retry webhook %s", event.id)
        content = {"error": {"code": "log_unavailable"}}
        return JsonResponse(content, status=HTTPStatus.SERVICE_UNAVAILABLE)
    return JsonResponse({"outcome": outcome})


async def refuse_too_large(request: HttpRequest) -> HttpResponse:
    """Respond in place of the view if config/web/body_limits.py rejects the body. Logs the call."""
    if not stripe_api.enabled():
        raise Http404
    refused = WebhookRefused("too_large", "The body is larger than any of Stripe's.")
    return await _refuse(refused, None, client_address(request))


async def _refuse(refused: WebhookRefused, body: bytes | None, address: str) -> HttpResponse:
    """Log a refused call, within a rate limit, and respond with the reason."""
    try:
        await sync_to_async(limits.take_refused_webhook)(address_group(address))
    except LimitReached as limit:
        return HttpResponse(status=limit.status, headers=limit.headers)
    try:
        await stripe_webhooks.log_refusal(refused, body, address)
    except StreamsError:
        logger.exception("the log is unavailable; a refused webhook call is not in it")
    logger.warning("refused a webhook call: %s", refused.code)
    return error_response(refused.status, refused.code, refused.message)
