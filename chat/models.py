"""What must be queried relationally about chats. What was said is in the log, not here."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Chat(models.Model):
    """One conversation. Its id is made by the browser and routes its entries in the owner's log."""

    class TitleBy(models.TextChoices):
        START = "start", _("the first words")
        MODEL = "model", _("a model")
        USER = "user", _("the owner")

    id = models.UUIDField(primary_key=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chats"
    )
    title = models.CharField(max_length=200, blank=True)
    title_by = models.CharField(max_length=8, choices=TitleBy, default=TitleBy.START)
    model = models.CharField(max_length=200, blank=True, help_text=_("The model used last."))
    # The reply that a plain send goes under: the end of the path that is shown.
    tip = models.ForeignKey(
        "Reply", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)
    pinned_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    # When the last answer ended and up to when the owner has looked, in ms of the log's clock.
    ended_ms = models.BigIntegerField(default=0)
    read_ms = models.BigIntegerField(default=0)
    # For each thing an owner can set ("title", "pin", ...) the entry of the log that set it last: a
    # request repeated late must not undo what was asked after it.
    set_by = models.JSONField(default=dict)
    # SHA-256 of the instructions in the log; "" while it is not known which those are.
    instructions_digest = models.CharField(max_length=64, blank=True, default="", db_default="")
    # What search knows of the chat (chat/search/indexer.py): up to which entry, and, if something
    # may have come since, when that was noticed.
    searchable_to = models.CharField(max_length=40, default="0-0")
    search_due_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["owner", "-updated_at"],
                condition=models.Q(deleted_at__isnull=True),
                name="chat_list_of_owner",
            ),
            models.Index(
                fields=["deleted_at"],
                condition=models.Q(deleted_at__isnull=False),
                name="chat_deleted",
            ),
            models.Index(
                fields=["search_due_at"],
                condition=models.Q(search_due_at__isnull=False),
                name="chat_search_due",
            ),
        ]

    def __str__(self) -> str:
        return self.title or str(self.id)


class Reply(models.Model):
    """One answer that is owed: who asked for it, by which model, and how far it has come.

    The row is written before anything else happens, so that a crash at any later step is found by
    the sweep and carried on. `outbox` holds what the log must still be told; it is emptied once the
    log has it.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waits for the answer before it")
        QUEUED = "queued", _("in the queue, or being written")
        DONE = "done", _("complete")
        STOPPED = "stopped", _("stopped by its owner")
        FAILED = "failed", _("ended by an error")

    FINAL = (State.DONE, State.STOPPED, State.FAILED)
    # By the status of its message in the transcript.
    STATE_OF_STATUS: ClassVar = {
        "done": State.DONE,
        "stopped": State.STOPPED,
        "error": State.FAILED,
    }

    # The id of the assistant message. For a send it follows from the id of the user's message.
    id = models.UUIDField(primary_key=True, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="replies")
    # The user's message that is answered. Several replies to one message are branches.
    prompt_id = models.UUIDField()
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="children"
    )
    model = models.CharField(max_length=200)
    state = models.CharField(max_length=8, choices=State)
    # What has to end before this one begins, as long as it waits: its parent, or, where that was
    # cancelled while it waited itself, what that waited for. A cancelled one keeps it.
    waits_for = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # SHA-256 of what was asked: the same id with something else is refused, not answered.
    request_digest = models.CharField(max_length=64)
    outbox = models.JSONField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    # The last attempt when the owner asked to continue: an end that the log holds of this attempt
    # or an earlier one is not the end. None: never asked.
    continued_after_attempt = models.PositiveIntegerField(null=True, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # None exactly as long as the state is not final.
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "replies"
        indexes = [
            models.Index(
                fields=["state", "created_at"],
                # Not by the state: SQLite does not see that a parameter fits the condition.
                condition=models.Q(finished_at__isnull=True),
                name="reply_unfinished",
            ),
            models.Index(fields=["chat", "prompt_id"], name="reply_of_prompt"),
            models.Index(
                fields=["finished_at"],
                condition=models.Q(finished_at__isnull=False),
                name="reply_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id} ({self.get_state_display()})"

    @property
    def is_final(self) -> bool:
        return self.state in self.FINAL

    def awaited_below(self) -> "Reply | None":
        """What an answer that builds on this one must wait for."""
        if self.state != self.State.WAITING and (before := self.still_before()):
            return before
        return None if self.is_final else self

    def still_before(self) -> "Reply | None":
        """What this one waits for, or was cancelled before; None when that has ended."""
        before = self.waits_for
        return before if before is not None and not before.is_final else None

    @staticmethod
    def id_for_message(message_id: uuid.UUID) -> uuid.UUID:
        """The id of the reply to a user's message: the same for every retry of the same send."""
        return uuid.uuid5(message_id, "reply")


class ChatOutline(models.Model):
    """Which messages a chat has, up to the entry `cursor` of the log `stream`: a cache of what
    chat/outline.py folds, of chats of some length. No text is in it.
    """

    chat = models.OneToOneField(
        Chat, primary_key=True, on_delete=models.CASCADE, related_name="outline"
    )
    stream = models.CharField(max_length=200)
    cursor = models.CharField(max_length=40)
    data = models.JSONField()

    def __str__(self) -> str:
        return f"outline of {self.chat_id}"


class ErasedChat(models.Model):
    """A deleted chat of which nothing is left but its id: see chat/personal_data/erase.py.

    The row makes the erasing happen whatever crashes, and keeps a late repetition of a send (from
    a browser that was offline) from beginning the chat anew.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="erased_chats"
    )
    erased_at = models.DateTimeField(auto_now_add=True)
    # When the log had forgotten it too.
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["erased_at"],
                condition=models.Q(finished_at__isnull=True),
                name="erased_chat_unfinished",
            )
        ]

    def __str__(self) -> str:
        return str(self.id)


class MessageText(models.Model):
    """What was said in one message, for search: a projection of the log, rebuilt by a command.

    `words` is `text` as search sees it (chat/search/words.py). The database keeps its own index of
    it, made by the migration `message_text_index`: on PostgreSQL a generated column, on SQLite an
    FTS5 table that follows by triggers. A change that makes SQLite rebuild this table (AlterField,
    ...) must make the triggers again.
    """

    # FTS5 names rows by whole numbers.
    id = models.BigAutoField(primary_key=True)
    message_id = models.UUIDField()
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="texts")
    # The chat's owner, here too so that one index answers "of this person, with these words".
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=9)
    text = models.TextField()
    words = models.TextField()
    said_at = models.DateTimeField()
    # By which cut `words` was made: VERSION of chat/search/words.py. None is before that was noted,
    # and lets SQLite add the column without making the table, and losing its triggers, anew.
    words_version = models.SmallIntegerField(null=True)

    class Meta:
        indexes = [models.Index(fields=["words_version"], name="message_text_words_version")]
        constraints = [
            # A message's id is made by a browser: only within a chat it is surely its own.
            models.UniqueConstraint(fields=["chat", "message_id"], name="message_text_once")
        ]

    def __str__(self) -> str:
        return str(self.message_id)


class Draft(models.Model):
    """What a person has begun to write and not sent: in a chat, or (`chat` is None) a new one.

    It is not said yet, so it is not in the log. An emptied draft keeps its row for a while, lest
    an older one that arrives late comes back: chat/drafts.py.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drafts"
    )
    chat = models.ForeignKey(
        Chat, null=True, blank=True, on_delete=models.CASCADE, related_name="drafts"
    )
    text = models.TextField(blank=True)
    # Long texts that were pasted, shown folded: a list of strings.
    pastes = models.JSONField(default=list, blank=True)
    # Text and pastes as JSON, in bytes: the draft's part of its owner's budget (chat/storage.py).
    size_bytes = models.PositiveIntegerField(default=0, db_default=0)
    # When the person wrote it, by the server's clock; the later one wins.
    written_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["owner", "chat"], name="draft_one_in_each_chat"),
            models.UniqueConstraint(
                fields=["owner"],
                condition=models.Q(chat__isnull=True),
                name="draft_one_for_a_new_chat",
            ),
        ]

    def __str__(self) -> str:
        return f"draft of {self.owner_id}"
