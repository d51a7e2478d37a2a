"""A client for each role, and the objects of the owner that others must not reach."""

import uuid

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import AsyncClient

from accounts.models import SavedPrompt, User
from accounts.preferences import picture_files
from accounts.preferences.picture_files import Picture
from accounts.preferences.store import change_picture
from accounts.suspension import suspend
from billing.payments import top_ups
from chat.models import Chat, Project, Reply, StoredFile
from tests.chat.conftest import MODEL

ROLES = ("nobody", "guest", "other", "suspended", "staff", "owner")
CHAT, REPLY, PROMPT = uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=3)
TOP_UP = uuid.UUID(int=4)
SAVED_PROMPT = uuid.UUID(int=5)
PROJECT = uuid.UUID(int=6)
FILE = uuid.UUID(int=7)


def make_people():
    """A client for each role, which has loaded the page, except for visitors and the suspended."""
    made = {
        "guest": User.objects.create(is_guest=True, password="!"),
        "other": User.objects.create_user("bob@example.org", "x"),
        "suspended": User.objects.create_user("mallory@example.org", "x"),
        "staff": User.objects.create_superuser("operator@example.org", "x"),
        "owner": User.objects.create_user("alice@example.org", "x"),
    }
    clients = {role: AsyncClient(enforce_csrf_checks=True) for role in ROLES}
    for role, user in made.items():
        clients[role].force_login(user)
    picture = Picture({256: b"large", 64: b"small"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_files.uuid, "uuid4", lambda: uuid.UUID(int=0))
        change_picture(made["owner"], picture)
    suspend(made["suspended"], made["staff"], "Spam")
    chat = Chat.objects.create(
        id=CHAT, owner=made["owner"], title="Secret", updated_at=made["owner"].created_at
    )
    SavedPrompt.objects.create(
        id=SAVED_PROMPT, owner=made["owner"], title="Secret", text="Secret", size_bytes=12
    )
    Project.objects.create(id=PROJECT, owner=made["owner"], name="Secret", size_bytes=6)
    StoredFile.objects.create(
        id=FILE,
        owner=made["owner"],
        name="Secret",
        size_bytes=6,
        sha256="0" * 64,
        state=StoredFile.State.READY,
        facts={"id": str(FILE), "type": "text/plain"},
        stored_bytes=6,
    )
    default_storage.save(f"files/{FILE}/original", ContentFile(b"Secret"))
    top_ups.order(made["owner"].id, TOP_UP, 500)
    Reply.objects.create(
        id=REPLY, chat=chat, prompt_id=PROMPT, model=MODEL, state=Reply.State.QUEUED
    )
    return clients
