"""The models of chats: data for relational queries. The messages are in the log, not here."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Project(models.Model):
    """Chats that share instructions for the model: see chat/projects/store.py. The browser makes
    its id."""

    id = models.UUIDField(primary_key=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="projects"
    )
    name = models.CharField(max_length=100)
    instructions = models.TextField(blank=True)
    # Name and instructions in bytes, which count towards the owner's storage (chat/storage.py).
    size_bytes = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["owner", "name"], name="project_of_owner")]

    def __str__(self) -> str:
        return self.name


class Chat(models.Model):
    """One conversation. The browser makes its id, which names its entries in the owner's log."""

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
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.SET_NULL, related_name="chats"
    )
    model = models.CharField(max_length=200, blank=True, help_text=_("The model used last."))
    # The last reply of the shown path: a new message goes below it.
    tip = models.ForeignKey(
        "Reply", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)
    pinned_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    # A temporary chat is in no list, search or export, and is erased when it is left or not used
    # (chat/personal_data/temporary.py). `left_at`: when its page was closed.
    is_temporary = models.BooleanField(default=False, db_default=False)
    left_at = models.DateTimeField(null=True, blank=True)
    # When the last reply ended, and up to when the owner has seen the chat: ms by the log's clock.
    ended_ms = models.BigIntegerField(default=0)
    read_ms = models.BigIntegerField(default=0)
    # For each setting of the owner ("title", "pin", ...) the entry id of the last change, so that a
    # request that is repeated late does not undo a later change.
    set_by = models.JSONField(default=dict)
    # SHA-256 of the instructions in the log; "" if it is not known, as during a change.
    instructions_digest = models.CharField(max_length=64, blank=True, default="", db_default="")
    # The last entry that search has indexed (chat/search/indexer.py), and, if there may be later
    # ones, since when.
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
            models.Index(
                fields=["updated_at"],
                condition=models.Q(is_temporary=True),
                name="chat_temporary",
            ),
        ]

    def __str__(self) -> str:
        return self.title or str(self.id)


class Reply(models.Model):
    """An assistant message that is owed: its prompt, its model and its state.

    The row is written before anything else, so that the sweep finds it after a crash at any later
    step. `outbox` holds the events that the log does not have yet; then it is emptied.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waits for the answer before it")
        QUEUED = "queued", _("in the queue, or being written")
        DONE = "done", _("complete")
        STOPPED = "stopped", _("stopped by its owner")
        FAILED = "failed", _("ended by an error")

    FINAL = (State.DONE, State.STOPPED, State.FAILED)
    # The state by the status of the message in the transcript.
    STATE_OF_STATUS: ClassVar = {
        "done": State.DONE,
        "stopped": State.STOPPED,
        "error": State.FAILED,
    }

    # The id of the assistant message. For a send it is derived from the id of the user's message.
    id = models.UUIDField(primary_key=True, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="replies")
    # The id of the user's message. Several replies to one message are branches.
    prompt_id = models.UUIDField()
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="children"
    )
    model = models.CharField(max_length=200)
    state = models.CharField(max_length=8, choices=State)
    # The reply that must end before this one may start: its parent, or, if that was cancelled while
    # waiting, the reply that the parent waited for. A cancelled reply keeps the value.
    waits_for = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # SHA-256 of the request: the same id with another request is refused.
    request_digest = models.CharField(max_length=64)
    outbox = models.JSONField(null=True, blank=True)
    # The instructions of the chat's project when the reply was requested, so that every worker
    # that takes it over uses the same ones. Emptied when the reply ends.
    project_instructions = models.TextField(blank=True, default="", db_default="")
    attempts = models.PositiveIntegerField(default=0)
    # The last attempt before the owner asked to continue: an end of this attempt, or of an earlier
    # one, in the log is not the end of the reply. None: never continued.
    continued_after_attempt = models.PositiveIntegerField(null=True, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # None as long as the state is not final.
    finished_at = models.DateTimeField(null=True, blank=True)
    # The code of the error that it ended with (docs/protocol.md).
    error_code = models.CharField(max_length=40, blank=True, default="", db_default="")

    class Meta:
        verbose_name_plural = "replies"
        indexes = [
            models.Index(
                fields=["state", "created_at"],
                # Not by the state: SQLite does not match a parameter with the index's condition.
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
        """The reply that a reply below this one must wait for; None if it may start."""
        if self.state != self.State.WAITING and (before := self.still_before()):
            return before
        return None if self.is_final else self

    def still_before(self) -> "Reply | None":
        """The unfinished reply that this one waits for, or waited for when it was cancelled."""
        before = self.waits_for
        return before if before is not None and not before.is_final else None

    @staticmethod
    def id_for_message(message_id: uuid.UUID) -> uuid.UUID:
        """The id of the reply to a user's message: the same for every repetition of a send."""
        return uuid.uuid5(message_id, "reply")


class Rating(models.Model):
    """What the owner thinks of an answer: a projection of the log, which chat/ratings.py counts.

    A rating that was taken back keeps its row, so that a repeated request does not bring it back.
    """

    class Value(models.TextChoices):
        UP = "up", _("good")
        DOWN = "down", _("bad")
        NONE = "none", _("taken back")

    reply = models.OneToOneField(
        Reply, primary_key=True, on_delete=models.CASCADE, related_name="rating"
    )
    rating = models.CharField(max_length=4, choices=Value)
    # The entry that it was read from, and that entry's day in UTC.
    entry = models.CharField(max_length=40)
    day = models.DateField()

    class Meta:
        indexes = [models.Index(fields=["day"], name="rating_day")]

    def __str__(self) -> str:
        return f"{self.reply_id} ({self.get_rating_display()})"


class ChatOutline(models.Model):
    """The outline of a long chat (chat/outline.py), up to the entry `cursor` of the log `stream`: a
    cache of the chat's messages without their text.
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
    """The id of a chat that is erased for good: see chat/personal_data/erase.py.

    With this row a crash cannot leave the erasing unfinished, and a send that is repeated late (by
    a browser that was offline) does not create the chat again.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="erased_chats"
    )
    erased_at = models.DateTimeField(auto_now_add=True)
    # When it was erased from the log too.
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
    """The text of one message, for search: a projection of the log, which a command can rebuild.

    `words` is `text` as search compares it (chat/search/words.py). The database has its own index
    of it, made by the migration `message_text_index`: on PostgreSQL a generated column, on SQLite
    an FTS5 table that triggers keep up to date. A migration that makes SQLite rebuild this table
    (AlterField, ...) must create the triggers again.
    """

    # FTS5 identifies rows by integers.
    id = models.BigAutoField(primary_key=True)
    message_id = models.UUIDField()
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="texts")
    # A copy of the chat's owner, so that one index finds the words within one person's messages.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=9)
    text = models.TextField()
    words = models.TextField()
    said_at = models.DateTimeField()
    # The VERSION of chat/search/words.py that made `words`. None for rows from before it was
    # stored: with a default, SQLite would rebuild the table and lose its triggers.
    words_version = models.SmallIntegerField(null=True)

    class Meta:
        indexes = [models.Index(fields=["words_version"], name="message_text_words_version")]
        constraints = [
            # Browsers make the ids of messages, so they are unique within a chat only.
            models.UniqueConstraint(fields=["chat", "message_id"], name="message_text_once")
        ]

    def __str__(self) -> str:
        return str(self.message_id)


class Draft(models.Model):
    """Text in the composer of a chat, or of a new one (`chat` is None), that was not sent.

    It is not in the log. An emptied draft keeps its row for a while, so that an older version that
    arrives late does not bring it back: chat/drafts.py.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drafts"
    )
    chat = models.ForeignKey(
        Chat, null=True, blank=True, on_delete=models.CASCADE, related_name="drafts"
    )
    text = models.TextField(blank=True)
    # Long pasted texts, shown collapsed: a list of strings.
    pastes = models.JSONField(default=list, blank=True)
    # Text and pastes as JSON, in bytes, which count towards its owner's storage (chat/storage.py).
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


class StoredFile(models.Model):
    """A file that somebody attaches to a message: see chat/files/. The browser makes its id.

    The bytes are in storage (chat/files/objects.py), under the id. The row says who may read them,
    what they count for and when they are removed. A file belongs to one chat; its messages and
    branches share it.
    """

    class State(models.TextChoices):
        UPLOADING = "uploading", _("being uploaded")
        CHECKING = "checking", _("being checked")
        READY = "ready", _("ready")
        REFUSED = "refused", _("refused")
        ERASED = "erased", _("its bytes are being erased")

    id = models.UUIDField(primary_key=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="stored_files"
    )
    # None until a message has the file. Whoever deletes the chat first marks its files as erased.
    chat = models.ForeignKey(
        Chat, null=True, blank=True, on_delete=models.RESTRICT, related_name="files"
    )
    name = models.CharField(max_length=255)
    # As the browser announced them. The check compares them with the bytes that arrived.
    size_bytes = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    state = models.CharField(max_length=9, choices=State, default=State.UPLOADING)
    # Which parts have arrived: bit n stands for part n.
    parts = models.PositiveIntegerField(default=0)
    # The `File` of docs/protocol.md, once it is ready.
    facts = models.JSONField(default=dict, blank=True)
    # Sound may come with the same as WAV, which the browser makes. Its size, digest and parts;
    # without bytes there is none.
    wav_bytes = models.PositiveIntegerField(default=0)
    wav_sha256 = models.CharField(max_length=64, blank=True, default="")
    wav_parts = models.PositiveIntegerField(default=0)
    # What it counts for, in bytes: the announced size, then all renditions together.
    stored_bytes = models.PositiveIntegerField()
    error_code = models.CharField(max_length=40, blank=True, default="")
    # The chat of a file that was deleted by itself, until the log has the event.
    erased_from = models.UUIDField(null=True, blank=True)
    # The check: how often it began, and until when a worker has it.
    attempts = models.PositiveSmallIntegerField(default=0)
    # How often it failed for a reason that is not the file's.
    errors = models.PositiveSmallIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["created_at"],
                # Not by the state, as with `Reply`: SQLite could not use the index. These are the
                # files that a worker still has to look at.
                condition=models.Q(chat__isnull=True),
                name="file_without_chat",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Transcription(models.Model):
    """What is said in a file of sound, which a worker has a model write down: see
    chat/files/transcribing/. The row exists from when the file is ready.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    file = models.OneToOneField(
        StoredFile, primary_key=True, on_delete=models.CASCADE, related_name="transcription"
    )
    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
    # The model that began to write it down.
    model = models.CharField(max_length=200, blank=True, default="")
    # Long sound is sent in pieces. The texts of those that are written down, and charged.
    pieces = models.JSONField(default=list, blank=True)
    text = models.TextField(blank=True, default="")
    error_code = models.CharField(max_length=40, blank=True, default="")
    # How often its owner has asked for it, each time but the first after it failed.
    run = models.PositiveSmallIntegerField(default=1)
    # How often a worker began this run, and until when one has it.
    attempts = models.PositiveSmallIntegerField(default=0)
    # How often this run failed for a reason that may be gone the next time.
    errors = models.PositiveSmallIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    # Whether the log of the file's chat still has to get the text.
    is_untold = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["created_at"],
                condition=models.Q(state="waiting"),
                name="transcription_waiting",
            ),
            models.Index(
                fields=["created_at"],
                condition=models.Q(is_untold=True),
                name="transcription_untold",
            ),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class Speech(models.Model):
    """An answer that is heard: a worker has a voice speak it (chat/files/speaking/), or its model
    does (chat/files/spoken/). Its file is made here, and belongs to the chat from the start.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        LIVE = "live", _("spoken with the answer")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    file = models.OneToOneField(
        StoredFile, primary_key=True, on_delete=models.CASCADE, related_name="speech"
    )
    # An answer has the speech of one text by one voice.
    reply = models.OneToOneField(Reply, on_delete=models.CASCADE, related_name="speech")
    text_sha256 = models.CharField(max_length=64)
    model = models.CharField(max_length=200)
    voice = models.CharField(max_length=100)
    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
    # What is spoken, until it is done: [first, end, words]; the places count UTF-16 units.
    sentences = models.JSONField(default=list, blank=True)
    # The sentences that are spoken, and charged, by their numbers: [rendition, frames, rate,
    # channels].
    pieces = models.JSONField(default=dict, blank=True)
    # Once it is done: [first, end, ms, ms], where each sentence is in the answer and in the sound.
    spans = models.JSONField(default=list, blank=True)
    # Whether the model spoke it, so that the times in `spans` are not exact.
    estimated = models.BooleanField(default=False)
    error_code = models.CharField(max_length=40, blank=True, default="")
    # How often its owner has asked for it, each time but the first after it failed.
    run = models.PositiveSmallIntegerField(default=1)
    # How often a worker began this run, and until when one has it.
    attempts = models.PositiveSmallIntegerField(default=0)
    # How often this run failed for a reason that may be gone the next time.
    errors = models.PositiveSmallIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    # Whether the log of the chat still has to get it.
    is_untold = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "speeches"
        indexes: ClassVar = [
            models.Index(
                fields=["created_at"],
                condition=models.Q(state="waiting"),
                name="speech_waiting",
            ),
            models.Index(
                fields=["created_at"],
                condition=models.Q(state="live"),
                name="speech_live",
            ),
            models.Index(
                fields=["created_at"],
                condition=models.Q(is_untold=True),
                name="speech_untold",
            ),
        ]

    def __str__(self) -> str:
        return str(self.reply_id)
