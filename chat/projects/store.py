"""The projects of a person: chats that share instructions for the model.

A chat is in one project at most. What the project says is sent with the prompt of each answer in
its chats. A reply has a copy of it from the moment it is requested (`Reply.project_instructions`),
so that a worker that takes over the answer uses the same instructions.

The rows are the truth, and every page of the person is sent the list when it changes. Which project
a chat is in is decided by the log (`chat.moved`), as its title is. A chat whose project is not in
the list is in none: so deleting a project adds no entry for each of its chats.
"""

import uuid
from typing import Any

from asgiref.sync import sync_to_async
from django.db import IntegrityError, transaction

from accounts import sockets, storage
from accounts.errors import NotSignedIn
from accounts.models import User
from chat import events as ev
from chat.chats import append_within, delete, own_chat, write_row
from chat.errors import BadRequest, ProjectNotFound, TooManyProjects
from chat.models import Chat, Project
from chat.projects.rows import lock_own_project, own_project, projects_of
from chat.sending.stops import notify_workers

MAX_PROJECTS = 100
MAX_NAME_CHARS = 100
MAX_INSTRUCTIONS_CHARS = 20_000
# How many chats one request deletes with their project: each appends an event.
DELETED_AT_ONCE = 50


async def create(person: User, project_id: uuid.UUID, name: str, instructions: str) -> Project:
    """Add a project; a repetition returns the row as it is now.

    Raises TooManyProjects, StorageFull and AddressFull, and ProjectNotFound if the id is that of
    somebody else's project.
    """
    existing = await Project.objects.filter(id=project_id).afirst()
    if existing is None:
        size = _size_of(name, instructions)
        await storage.require_room_outside_log(person, size)
        fields = {"name": name, "instructions": instructions, "size_bytes": size}
        existing = await sync_to_async(_add)(person, project_id, fields)
        await notify(person)
    if existing.owner_id != person.id:
        raise ProjectNotFound
    return existing


async def change(
    person: User, project_id: uuid.UUID, name: str | None, instructions: str | None
) -> Project:
    """Change what is not None. Raises ProjectNotFound, StorageFull and AddressFull."""
    before = await sync_to_async(own_project)(person, project_id)
    name = before.name if name is None else name
    instructions = before.instructions if instructions is None else instructions
    size = _size_of(name, instructions)
    await storage.require_room_outside_log(person, size - before.size_bytes)
    fields = {"name": name, "instructions": instructions, "size_bytes": size}
    project = await sync_to_async(_set)(person, project_id, fields)
    await notify(person)
    return project


async def remove(person: User, project_id: uuid.UUID, *, with_chats: bool) -> int:
    """Delete a project. Its chats stay, in no project, or are deleted `with_chats`, which can be
    undone as for each chat (chat/chats.py: delete).

    Returns how many chats must be deleted first: the caller repeats the request until there are
    none. Raises ProjectNotFound.
    """
    project = await sync_to_async(own_project)(person, project_id)
    if with_chats:
        left = Chat.objects.filter(project=project, owner=person, deleted_at=None)
        async for chat_id in left.order_by("id").values_list("id", flat=True)[:DELETED_AT_ONCE]:
            await notify_workers(await delete(person, chat_id))
        if count := await left.acount():
            return count
    await sync_to_async(_remove)(person, project_id)
    await notify(person)
    return 0


async def move(
    owner: User, chat_id: uuid.UUID, project_id: uuid.UUID | None, change_id: uuid.UUID | None
) -> None:
    """Move a chat into a project, or (None) out of the one that it is in.

    Raises ChatNotFound, ProjectNotFound, BadRequest for a temporary chat, and StorageFull.
    """
    await sync_to_async(_require_movable)(owner, chat_id, project_id)
    event = ev.ChatMoved(chat=str(chat_id), project=str(project_id or ""))
    event_id = f"{chat_id}:project:{change_id or uuid.uuid4()}"
    entry = await append_within(owner, chat_id, event, event_id)
    await sync_to_async(_put_into)(owner, chat_id, project_id, entry)


def _size_of(name: str, instructions: str) -> int:
    return len(name.encode()) + len(instructions.encode())


def _add(person: User, project_id: uuid.UUID, fields: dict[str, Any]) -> Project:
    try:
        with transaction.atomic():
            # The lock on the person lets two requests at once not exceed the bound together.
            locked = User.objects.select_for_update().filter(id=person.id, is_active=True).first()
            if locked is None:
                raise NotSignedIn
            if projects_of(person).count() >= MAX_PROJECTS:
                raise TooManyProjects
            return Project.objects.create(id=project_id, owner=locked, **fields)
    except IntegrityError:
        # A repetition at the same moment has created it.
        return own_project(person, project_id)


def _set(person: User, project_id: uuid.UUID, fields: dict[str, Any]) -> Project:
    with transaction.atomic():
        project = lock_own_project(person, project_id)
        for name, value in fields.items():
            setattr(project, name, value)
        project.save(update_fields=[*fields, "updated_at"])
        return project


def _remove(person: User, project_id: uuid.UUID) -> None:
    with transaction.atomic():
        lock_own_project(person, project_id).delete()


def _require_movable(owner: User, chat_id: uuid.UUID, project_id: uuid.UUID | None) -> None:
    chat = own_chat(owner, chat_id)
    if project_id is not None:
        own_project(owner, project_id)
        if chat.is_temporary:
            raise BadRequest("A temporary chat cannot be in a project.")


def _put_into(owner: User, chat_id: uuid.UUID, project_id: uuid.UUID | None, entry: str) -> None:
    with transaction.atomic():
        project = _lock_if_there(owner, project_id) if project_id else None

        def put(chat: Chat) -> list[str]:
            chat.project = project
            return ["project"]

        write_row(owner, chat_id, "project", entry, put)


def _lock_if_there(owner: User, project_id: uuid.UUID) -> Project | None:
    """The project, locked; None if it was deleted in the meantime."""
    try:
        return lock_own_project(owner, project_id)
    except ProjectNotFound:
        return None


async def notify(person: User) -> None:
    """Send the list to every page of the person; a page that misses it gets it when it connects."""
    await sockets.send_to_group(sockets.group_of(person.id), {"type": "projects.changed"})
