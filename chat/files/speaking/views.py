"""The API of answers that are read aloud."""

import uuid
from http import HTTPStatus

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts.people import require_user
from chat.errors import MessageNotFound, NotPossibleNow
from chat.files.speaking import orders
from chat.files.speaking.states import speech_state
from chat.folding import fold_answer
from chat.web.api import api, require_user_for_change
from streams.log import get_log


@api("GET", "POST")
async def speech(request: HttpRequest, chat_id: uuid.UUID, reply_id: uuid.UUID) -> HttpResponse:
    """POST: have an answer read aloud; a repetition makes nothing new. GET: how far that is."""
    if request.method == "GET":
        user = await require_user(request)
        reply = await sync_to_async(orders.own_reply)(user, chat_id, reply_id)
        row = await sync_to_async(orders.speech_of)(reply)
        return JsonResponse(speech_state(row))
    user = await require_user_for_change(request)
    reply = await sync_to_async(orders.own_reply)(user, chat_id, reply_id)
    answer = await fold_answer(get_log(), user.stream, str(chat_id), str(reply_id))
    if answer.message is None:
        raise MessageNotFound
    # The log decides: the reply's row says so only some time later.
    if answer.message.status in ("queued", "running"):
        raise NotPossibleNow
    row = await sync_to_async(orders.order)(user, reply, str(answer.message.text))
    return JsonResponse(speech_state(row), status=HTTPStatus.ACCEPTED)
