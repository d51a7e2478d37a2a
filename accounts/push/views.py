"""The JSON API of Web Push; docs/protocol.md describes it."""

from http import HTTPStatus

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts import limits
from accounts.people import require_person, require_user
from accounts.preferences.json_api import api, object_in
from accounts.push import subscriptions
from accounts.push.subscriptions import Address, PushOff, PushRefused
from accounts.sessions import SID

MAX_BODY_BYTES = 8_000


@api("POST", "DELETE")
async def subscription(request: HttpRequest) -> HttpResponse:
    """POST subscribes the browser in the body, for as long as the session. DELETE ends that."""
    person = await require_user(request)
    require_person(person, request.GET.get("person"))
    sent = object_in(request, MAX_BODY_BYTES)
    await sync_to_async(limits.take_change)(person)
    if request.method == "DELETE":
        if not isinstance(endpoint := sent.get("endpoint"), str):
            raise PushRefused
        await sync_to_async(subscriptions.remove)(person, endpoint)
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    if not settings.PUSH_CONTACT:
        raise PushOff
    sid = await request.session.aget(SID, "")
    await sync_to_async(subscriptions.add)(person, sid, Address.read(sent))
    return HttpResponse(status=HTTPStatus.NO_CONTENT)
