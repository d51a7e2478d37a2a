import uuid
from importlib import import_module
from typing import ClassVar

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession, BaseSessionManager
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        if not email:
            raise ValueError("An account needs an email.")
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> "User":
        """For `manage.py createsuperuser`. Whoever may run it on the server is trusted with the
        address, so it counts as confirmed, and the site's own sign-in asks for no code."""
        with transaction.atomic(using=self._db):
            user = self.create_user(email, password, is_staff=True, is_superuser=True, **fields)
            addresses = apps.get_model("account", "EmailAddress")
            addresses.objects.using(self._db).create(
                user=user, email=user.email, verified=True, primary=True
            )
        return user

    def get_by_natural_key(self, email: str | None) -> "User":
        # Addresses are stored in lower case; guests have none, and "" finds nobody.
        return self.get(email=(email or "").strip().lower())

    def administrators(self) -> "models.QuerySet[User]":
        """The people who may do everything in the admin."""
        return self.filter(is_superuser=True, is_staff=True, is_active=True)


class User(AbstractBaseUser, PermissionsMixin):
    """An account, or a guest: somebody who chats without having signed up.

    A guest has no email and no usable password. Signing up fills in both on the same row, so the
    id, the chats and the log (`stream`) stay the same.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # NULL for guests; case-insensitively unique by the constraint below.
    email = models.EmailField(null=True, blank=True, unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_guest = models.BooleanField(default=False)
    is_staff = models.BooleanField(default=False)
    # False while suspended. Django then refuses sessions and sign-ins.
    is_active = models.BooleanField(default=True)
    suspended_at = models.DateTimeField(null=True, blank=True)
    suspended_reason = models.CharField(max_length=500, blank=True)
    # Part of the hash that each session is checked against: raising it ends all sessions at once.
    session_epoch = models.PositiveIntegerField(default=0)
    # When the account will be deleted, if its owner has asked for it; they can change their mind
    # until then (accounts/personal_data/deletion_request.py).
    deletion_due_at = models.DateTimeField(null=True, blank=True)
    # When erasing began, which is irrevocable (accounts/personal_data/erase.py).
    deletion_begun_at = models.DateTimeField(null=True, blank=True)
    deletion_told_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["deletion_due_at"],
                condition=models.Q(deletion_due_at__isnull=False),
                name="user_leaving",
            ),
            models.Index(fields=["-created_at"], name="user_newest"),
        ]
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique_when_present"),
            models.CheckConstraint(
                condition=models.Q(is_guest=True, email__isnull=True)
                | models.Q(is_guest=False, email__isnull=False),
                name="user_is_guest_or_has_email",
            ),
            models.CheckConstraint(
                condition=models.Q(suspended_at__isnull=True) | models.Q(is_active=False),
                name="user_suspended_is_not_active",
            ),
        ]

    def __str__(self) -> str:
        return self.email or gettext("guest %(id)s") % {"id": str(self.id)[:8]}

    @property
    def stream(self) -> str:
        """The name of this person's log."""
        return f"u:{self.id.hex}"

    @property
    def is_leaving(self) -> bool:
        return self.deletion_due_at is not None

    @property
    def may_act(self) -> bool:
        """Whether the person is neither suspended nor about to be deleted."""
        return self.is_active and not self.is_leaving

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        own: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        return f"{self.session_epoch}:{own}" if self.session_epoch else own


class Preferences(models.Model):
    """A person's settings. Without a row the defaults hold; `preferences_of` returns them.

    Only accounts/preferences/store.py changes them, because it also notifies the person's devices.
    """

    class Appearance(models.TextChoices):
        SYSTEM = "system", _("Same as this device")
        LIGHT = "light", _("Light")
        DARK = "dark", _("Dark")

    class SendKey(models.TextChoices):
        ENTER = "enter", _("Enter")
        CTRL_ENTER = "ctrl_enter", _("Ctrl + Enter")

    person = models.OneToOneField(
        User, on_delete=models.CASCADE, primary_key=True, related_name="preferences"
    )
    # The name in the picture's file names (accounts/preferences/picture_files.py); empty without a
    # picture.
    picture = models.CharField(max_length=32, blank=True)
    # The size of those files; 0 if an earlier release wrote them.
    picture_bytes = models.PositiveIntegerField(default=0, db_default=0)
    appearance = models.CharField(max_length=6, choices=Appearance, default=Appearance.SYSTEM)
    # A code of settings.LANGUAGES, and an IANA name; if empty, the browser decides.
    language = models.CharField(max_length=16, blank=True)
    time_zone = models.CharField(max_length=64, blank=True)
    send_key = models.CharField(max_length=10, choices=SendKey, default=SendKey.ENTER)
    # "endpoint/name", used for new chats while such a model exists.
    default_model = models.CharField(max_length=200, blank=True)
    # Sent to the model at the beginning of every conversation.
    instructions = models.TextField(blank=True)
    # Allows model calls that the person did not ask for, such as those for titles.
    background_calls = models.BooleanField(default=True)
    # One "endpoint/name" a line, in the order in which they were pinned.
    pinned_models = models.TextField(blank=True, default="", db_default="")
    # Allows notifications of answers that end unseen. Each browser asks for permission, too.
    answer_notifications = models.BooleanField(default=True, db_default=True)

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"preferences of {self.person_id}"


class GuestJoin(models.Model):
    """A guest who joins an existing account: see accounts/guests/merge.py.

    The row ensures that the guest's data is moved exactly once, in spite of crashes.
    """

    # No foreign key, because the guest's row is deleted at the end.
    guest_id = models.UUIDField(unique=True, editable=False)
    account = models.ForeignKey(User, on_delete=models.CASCADE, related_name="joined_guests")
    created_at = models.DateTimeField(auto_now_add=True)
    # When the guest's data was moved, and when the guest was removed.
    moved_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["account"],
                condition=models.Q(finished_at__isnull=True),
                name="guest_join_unfinished",
            )
        ]

    def __str__(self) -> str:
        return f"guest {self.guest_id} -> {self.account_id}"


class SessionManager(BaseSessionManager["Session"]):
    """Reads the person with the session: nearly every request needs both."""

    def get_queryset(self) -> models.QuerySet["Session"]:
        return super().get_queryset().select_related("person")


class Session(AbstractBaseSession):
    """Django's session with its person: accounts/session_store.py."""

    # No constraint, because a late request may write a session after its person was deleted.
    person = models.ForeignKey(
        User,
        models.DO_NOTHING,
        null=True,
        editable=False,
        db_constraint=False,
        related_name="+",
    )
    objects: ClassVar = SessionManager()

    class Meta(AbstractBaseSession.Meta):
        abstract = False

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
        return store


class Export(models.Model):
    """An archive of all data of one person, made in the background: see
    accounts/personal_data/export.py."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waits for a worker")
        BUILDING = "building", _("being made")
        READY = "ready", _("ready")
        FAILED = "failed", _("could not be made")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Each person has one at a time.
    person = models.OneToOneField(User, on_delete=models.CASCADE, related_name="export")
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    # Raised by each claim, so that updates by earlier workers are ignored.
    attempt = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    # The number of chats written so far, and of all chats.
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["state", "created_at"], name="export_state")]

    def __str__(self) -> str:
        return f"export {self.id} ({self.state})"

    def file_name(self, attempt: int | None = None) -> str:
        """The name in storage. Each attempt has its own, so a late writer overwrites nothing."""
        return f"exports/{self.id.hex}-{self.attempt if attempt is None else attempt}.zip"
