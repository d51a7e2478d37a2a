"""Web Push: tells a person's browsers that an answer has ended, unless it has been read by then.

A page that is open, though hidden, shows a notification of its own. Both have the chat's id as
their tag, so one is shown (static/js/service_worker.js).
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError
from django.utils.translation import gettext as _

from accounts.mail import in_language_of
from accounts.models import PushSubscription
from accounts.push import subscriptions
from chat.models import Chat
from chat.work_orders import WorkOrder

logger = logging.getLogger(__name__)

# A device that shows the chat marks it as read within this time.
READ_WITHIN_S = 4.0
# A push service that does not respond holds up other messages, but nothing else.
_senders = ThreadPoolExecutor(4, "push")


async def notify_of_end(order: WorkOrder, ended_ms: int) -> None:
    """`ended_ms`: the time of the answer's last entry in the log. If the worker ends before this
    does, nobody is told."""
    chat = order.reply.chat
    if not (settings.PUSH_CONTACT and order.preferences.answer_notifications):
        return
    if chat.is_temporary:
        return
    await asyncio.sleep(READ_WITHIN_S)
    try:
        title, body, rows = await sync_to_async(_unread)(order, ended_ms)
        if rows:
            await _send_all(order, rows, title, body)
    except DatabaseError as error:
        logger.info("nobody is told that answer %s has ended: %s", order.reply_id, error)


def _unread(order: WorkOrder, ended_ms: int) -> tuple[str, str, list[PushSubscription]]:
    """The title of the chat, the text of the notification, and who gets it."""
    owner = order.reply.chat.owner
    chats = Chat.objects.filter(id=order.reply.chat_id, read_ms__lt=ended_ms, deleted_at=None)
    title = chats.values_list("title", flat=True).first()
    rows = [] if title is None else subscriptions.usable_by(owner)
    if not rows:
        return "", "", []
    with in_language_of(owner.id):
        return title or _("Untitled"), _("Answer complete."), rows


async def _send_all(order: WorkOrder, rows: list[PushSubscription], title: str, body: str) -> None:
    # Imported only here: few workers send messages, and it takes a while.
    from accounts.push.sender import send

    loop = asyncio.get_running_loop()
    chat_id = order.reply.chat_id
    sending = [loop.run_in_executor(_senders, send, row, chat_id, title, body) for row in rows]
    results = await asyncio.gather(*sending, return_exceptions=True)
    for row, result in zip(rows, results, strict=True):
        if isinstance(result, BaseException):
            logger.warning("a push message could not be sent", exc_info=result)
        elif not result:
            await sync_to_async(subscriptions.remove)(order.reply.chat.owner, row.endpoint)
