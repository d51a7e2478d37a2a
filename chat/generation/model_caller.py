"""One attempt: a call of the model, from choosing the model to the last delta."""

import time
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from chat import events as ev
from chat.charging.answer_charge import AnswerCharge
from chat.files.pictures import with_pictures
from chat.files.prompt_files import images_prompt, sounds_of, with_files
from chat.files.transcribing.texts import wait_for_transcriptions
from chat.generation import events as answer_events
from chat.generation.outcomes import Interruption
from chat.generation.pictures import AnswerPictures
from chat.generation.reply_log import ReplyLog
from chat.llm import learned
from chat.llm.catalogue import Catalogue, Model, UnknownModelError
from chat.llm.client import Delta, Finish, stream_answer
from chat.llm.errors import ContextTooLong, PicturesRefused, ProviderError, SoundRefused
from chat.llm.prompt import Prompt, build_prompt, smaller_window, system_messages
from chat.llm.tokens import MAX_CHARS_PER_TOKEN
from chat.llm.user_models import find_for_call
from chat.transcript import Message
from chat.work_orders import WorkOrder


class ModelCaller:
    """Calls the model for one reply, once per attempt, and appends the output to the log."""

    def __init__(
        self,
        order: WorkOrder,
        reply_log: ReplyLog,
        charge: AnswerCharge,
        catalogue: Catalogue,
        interruption: Interruption,
    ) -> None:
        self._order = order
        self._reply_log = reply_log
        self._charge = charge
        self._catalogue = catalogue
        self._interruption = interruption
        self._timer = ReasoningTimer()
        self.pictures = AnswerPictures(order, reply_log, charge, interruption)
        self.sound = reply_log.sound_of(charge)
        # The model with the window that it turned out to have when it refused a prompt as too long.
        self._smaller_model: Model | None = None
        # Whether it refused pictures, for the rest of this reply.
        self._is_blind = False
        self._is_deaf = False  # Likewise sound.

    @property
    def reasoning_ms(self) -> int | None:
        """How long the model reasoned in the last attempt before it wrote text."""
        return self._timer.reasoning_ms

    async def attempt(self, message: Message, reason: ev.ResumeReason) -> Finish | None:
        """Call the model once and wait until all that it wrote is in the log.

        None if it was interrupted. `reason`: why the reply is continued, if it is. Raises
        ProviderError, BillingError, and what appending raises.
        """
        if self._interruption.reason is not None:
            return None
        found = self._as_learned(await self._find_model())
        model = await self._charge.price_attempt(message, found)
        model = await self.sound.prepare(message, model)
        await self._wait_for_transcriptions(model)
        if self._interruption.reason is not None:
            return None
        prompt = await self._build_prompt(model, partial=str(message.text))
        await self._charge.reserve(message, model, prompt)
        await self._append_start(message, model, prompt, reason)
        if self._interruption.reason is not None:  # There was no call yet that could be cancelled.
            return None
        self._timer = ReasoningTimer()
        try:
            return await self._interruption.run(self._consume(message, model, prompt))
        except ContextTooLong as error:
            # Our count was too low. The next attempt leaves more out, as long as that is possible.
            self._smaller_model = smaller_window(model, prompt, error)
            raise ProviderError("context_too_long", permanent=False) from error
        except PicturesRefused:
            self._is_blind = True
            raise
        except SoundRefused:
            self._is_deaf = True
            raise
        finally:
            await self.pictures.settle()
            await self.sound.flush()
            await self._reply_log.parts.flush()

    def _as_learned(self, model: Model) -> Model:
        """The model, without sight if it has refused pictures, and without hearing if it has
        refused sound."""
        key = learned.model_key(model)
        if self._is_blind or key in learned.refuses_pictures:
            model = model.without_input("image")
        if self._is_deaf or key in learned.refuses_sound:
            model = model.without_input("audio")
        return model

    async def _wait_for_transcriptions(self, model: Model) -> None:
        sounds = [] if model.hears else sounds_of(self._reply_log.conversation.messages)
        if sounds:
            await self._interruption.run(wait_for_transcriptions(sounds))

    async def _find_model(self) -> Model:
        if self._smaller_model is not None:
            return self._smaller_model
        reply = self._order.reply
        try:
            return await find_for_call(reply.chat.owner_id, reply.model, self._catalogue)
        except UnknownModelError as error:
            raise ProviderError("model_not_found") from error

    async def _build_prompt(self, model: Model, partial: str) -> Prompt:
        conversation, order = self._reply_log.conversation, self._order
        if model.uses_images_api:
            return await images_prompt(conversation.messages[-1])
        system = system_messages(
            order.preferences.instructions,
            order.reply.project_instructions,
            conversation.instructions,
        )
        before = conversation.messages
        messages, withheld = await with_files(before, model, system, partial)
        prompt = await build_prompt([*system, *messages], model, partial=partial)
        sound_tokens = sum(message.sound_tokens for message in messages)
        return replace(prompt, withheld=tuple(withheld), sound_tokens=sound_tokens)

    async def _append_start(
        self, message: Message, model: Model, prompt: Prompt, reason: ev.ResumeReason
    ) -> None:
        """Append the start of this attempt: the reply's first, or a seam."""
        attempt = message.attempt + 1
        text_bytes, _ = ev.fingerprint(str(message.text))
        reasoning_bytes = len(str(message.reasoning).encode())
        lengths, bill_before = (text_bytes, reasoning_bytes), await self._charge.bill_for_seam()
        limit = self._charge.credit_limit_tokens
        event = answer_events.begun(message, model, prompt, reason, lengths, limit, bill_before)
        await self._reply_log.append_start(replace(event, sound=self.sound.file_id))
        self._charge.begin_attempt(attempt, model, text_bytes, reasoning_bytes)
        self.pictures.begin_attempt(attempt)

    async def _consume(self, message: Message, model: Model, prompt: Prompt) -> Finish:
        max_tokens = self._charge.max_tokens
        written_chars = 0
        answer = stream_answer(
            model,
            # Pictures take megabytes: no name here holds them while the answer is written.
            replace(prompt, messages=tuple(await with_pictures(prompt.messages))),
            partial=str(message.text),
            max_tokens=max_tokens,
            person=self._order.reply.chat.owner_id.hex,
            thought=str(message.reasoning),
            on_accepted=partial(self._note_accepted, model),
        )
        async with aclosing(answer) as stream:
            async for item in stream:
                if isinstance(item, Finish):
                    return item
                self._timer.note(item)
                written_chars += len(item.text) + len(item.reasoning)
                if item.text_kept is not None:
                    written_chars -= len(item.reasoning)  # These characters were counted as text.
                    message.text.cut(item.text_kept)
                    self._charge.recast(item.text_kept)
                message.text.add(item.text)
                message.reasoning.add(item.reasoning)
                if item.pictures:
                    await self.pictures.keep(item.pictures)
                elif item.sound:
                    await self.sound.push(item.sound)
                else:
                    await self._reply_log.parts.push(item)
                most_chars = None if max_tokens is None else max_tokens * MAX_CHARS_PER_TOKEN
                is_long = most_chars is not None and written_chars > most_chars
                if is_long or self.sound.is_full(max_tokens):
                    # The provider ignores `max_tokens`. The rest is neither read nor charged.
                    return Finish("length", None)
        raise ProviderError("stream_cut")

    def _note_accepted(self, model: Model) -> None:
        """The provider has accepted the request, which proves what was concluded from a refusal."""
        self._charge.mark_accepted()
        if self._is_blind:
            learned.refuses_pictures.add(learned.model_key(model), True)
        if self._is_deaf:
            learned.refuses_sound.add(learned.model_key(model), True)


class ReasoningTimer:
    """Measures how long the model reasons before its first text, in one attempt."""

    def __init__(self) -> None:
        self.reasoning_ms: int | None = None
        self._started_at: float | None = None

    def note(self, delta: Delta) -> None:
        if delta.reasoning and self._started_at is None:
            self._started_at = time.monotonic()
        if delta.text and self._started_at is not None and self.reasoning_ms is None:
            self.reasoning_ms = round((time.monotonic() - self._started_at) * 1000)
