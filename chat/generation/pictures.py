"""The pictures of one reply: stored, then told in the log under the fence."""

import asyncio
from uuid import UUID

from asgiref.sync import sync_to_async

from chat import events as ev
from chat.charging.answer_charge import AnswerCharge
from chat.files import generated
from chat.files.generated import Picture, picture_id
from chat.generation.outcomes import Interrupt, Interruption
from chat.generation.reply_log import ReplyLog
from chat.llm.stream.chunks import MAX_PICTURES
from chat.transcript import Message
from chat.work_orders import WorkOrder

# A worker that leaves waits so long for a picture. After that the next worker continues storing it.
LEAVE_AFTER_S = 3.0


class AnswerPictures:
    """Owned by a `ModelCaller`. All methods raise what appending raises."""

    def __init__(
        self,
        order: WorkOrder,
        reply_log: ReplyLog,
        charge: AnswerCharge,
        interruption: Interruption,
    ) -> None:
        self._order = order
        self._reply_log = reply_log
        self._charge = charge
        self._interruption = interruption
        self._attempt = self._count = 0
        # Whether this attempt has brought a picture, also one that could not be kept.
        self.has_any = False
        self._keeping: asyncio.Task[None] | None = None

    def begin_attempt(self, attempt: int) -> None:
        self._attempt, self._count, self._keeping = attempt, 0, None
        self.has_any = False

    async def keep(self, pictures: list[bytearray]) -> None:
        """Store pictures and tell them. An interruption does not end it: see `settle`."""
        self._keeping = asyncio.create_task(self._keep_all(pictures))
        await asyncio.shield(self._keeping)

    async def settle(self) -> None:
        """Call it when an attempt has ended: pictures that had arrived are still stored."""
        task = self._keeping
        if task is None or task.done():
            return
        if self._interruption.reason is Interrupt.STOP:
            await task
            return
        if self._interruption.reason is Interrupt.HAND_OVER:
            await asyncio.wait([task], timeout=LEAVE_AFTER_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def recover(self, message: Message) -> bool:
        """Tell the pictures that a worker stored and did not tell. Returns whether the reply has
        any pictures then."""
        told = {file["id"] for file in message.files or ()}
        numbers = range(MAX_PICTURES)
        attempts = range(1, message.attempt + 1)
        ids = [picture_id(message.id, attempt, n) for attempt in attempts for n in numbers]
        untold = [file_id for file_id in ids if str(file_id) not in told]
        chat_id = self._order.reply.chat_id
        rows = await sync_to_async(generated.begun_pictures)(chat_id, untold)
        for file_id in untold:
            if file_id in rows:
                picture = self._picture(file_id)
                row = rows[file_id]
                facts = await generated.continue_keeping(picture, row, self._is_leaving)
                if facts is not None:
                    await self._tell(facts)
        return bool(message.files)

    async def _keep_all(self, pictures: list[bytearray]) -> None:
        while pictures:
            file_id = picture_id(self._order.reply_id, self._attempt, self._count)
            self._count += 1
            facts = await generated.keep(self._picture(file_id), pictures.pop(0), self._is_leaving)
            if facts is None:
                return
            await self._tell(facts)

    def _is_leaving(self) -> bool:
        return self._interruption.reason in (Interrupt.HAND_OVER, Interrupt.LOST)

    async def _tell(self, facts: generated.Facts) -> None:
        await self._reply_log.parts.flush()
        await self._reply_log.append_image(ev.MessageImage(self._order.reply_id, facts))
        self.has_any = True
        if "refused" not in facts:
            self._charge.add_picture()

    def _picture(self, file_id: UUID) -> Picture:
        reply = self._order.reply
        asked = self._reply_log.conversation.messages
        prompt = asked[-1].text if asked else ""
        return Picture(file_id, reply.chat.owner_id, reply.chat_id, prompt)
