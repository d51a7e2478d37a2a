import uuid
from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        if not email:
            raise ValueError("An account needs an email.")
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person, or a guest: someone who chats before they have said who they are.

    A guest has no email and no usable password; signing up fills both in on the same row, so the
    id, the chats and the log (`stream`) stay what they were.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # NULL for guests; case-insensitively unique by the constraint below.
    email = models.EmailField(null=True, blank=True, unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_guest = models.BooleanField(default=False)
    is_staff = models.BooleanField(default=False)
    # False while suspended. Django refuses the sessions and the sign-in of such a person.
    is_active = models.BooleanField(default=True)
    suspended_at = models.DateTimeField(null=True, blank=True)
    suspended_reason = models.CharField(max_length=500, blank=True)
    # Part of what every session is checked against: raising it ends all of them at once.
    session_epoch = models.PositiveIntegerField(default=0)
    # They asked to be deleted then; until then they can change their mind (accounts/leaving.py).
    deletion_due_at = models.DateTimeField(null=True, blank=True)
    # From here on there is no way back (accounts/erasing.py).
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
            )
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
        return self.email or f"guest {str(self.id)[:8]}"

    @property
    def stream(self) -> str:
        """The name of this person's log."""
        return f"u:{self.id.hex}"

    @property
    def is_leaving(self) -> bool:
        return self.deletion_due_at is not None

    @property
    def may_act(self) -> bool:
        """Neither suspended nor on the way out."""
        return self.is_active and not self.is_leaving

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        own: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        return f"{self.session_epoch}:{own}" if self.session_epoch else own


class Preferences(models.Model):
    """What a person has set. Without a row it is all as by default: `preferences_of` gives that.

    Changed by accounts/preferences.py only, which also tells the person's devices.
    """

    class Appearance(models.TextChoices):
        SYSTEM = "system", "Same as this device"
        LIGHT = "light", "Light"
        DARK = "dark", "Dark"

    class SendKey(models.TextChoices):
        ENTER = "enter", "Enter"
        CTRL_ENTER = "ctrl_enter", "Ctrl + Enter"

    person = models.OneToOneField(
        User, on_delete=models.CASCADE, primary_key=True, related_name="preferences"
    )
    # The name that the files of the picture go by (accounts/pictures.py); empty without one.
    picture = models.CharField(max_length=32, blank=True)
    appearance = models.CharField(max_length=6, choices=Appearance, default=Appearance.SYSTEM)
    # A code of settings.LANGUAGES and an IANA name; empty: what the browser says.
    language = models.CharField(max_length=16, blank=True)
    time_zone = models.CharField(max_length=64, blank=True)
    send_key = models.CharField(max_length=10, choices=SendKey, default=SendKey.ENTER)
    # "endpoint/name", for new chats, as long as there is such a model.
    default_model = models.CharField(max_length=200, blank=True)
    # Sent to the model before every conversation.
    instructions = models.TextField(blank=True)
    # Model calls that nobody asked for, such as making titles.
    background_calls = models.BooleanField(default=True)

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"preferences of {self.person_id}"


class SecurityEvent(models.Model):
    """What happened to somebody's account, for them and for operators to see. Append-only.

    Triggers of the database (migrations security_events_append_only and leaving) refuse to change
    an event, to delete one as long as its person exists, and to delete one that says DELETED.
    A change of this table that makes SQLite rebuild it (AlterField, ...) must make them again.
    """

    class Kind(models.TextChoices):
        SIGNED_IN = "signed_in", "Signed in"
        SIGN_IN_FAILED = "sign_in_failed", "Sign-in failed"
        SIGNED_OUT = "signed_out", "Signed out"
        SIGNED_UP = "signed_up", "Account made"
        SESSION_REVOKED = "session_revoked", "Session ended"
        PASSWORD_CHANGED = "password_changed", "Password changed"
        PASSWORD_RESET = "password_reset", "Password reset"
        EMAIL_CHANGED = "email_changed", "Email address changed"
        SECOND_FACTOR_ADDED = "second_factor_added", "Second factor added"
        SECOND_FACTOR_REMOVED = "second_factor_removed", "Second factor removed"
        SECOND_FACTOR_RESET = "second_factor_reset", "Recovery codes renewed"
        LOGIN_CONNECTED = "login_connected", "Sign-in service connected"
        LOGIN_DISCONNECTED = "login_disconnected", "Sign-in service disconnected"
        KEY_ADDED = "key_added", "Provider key added"
        KEY_REMOVED = "key_removed", "Provider key removed"
        SUSPENDED = "suspended", "Suspended by an operator"
        RESTORED = "restored", "Restored by an operator"
        DELETION_ASKED = "deletion_asked", "Deletion asked for"
        DELETION_CANCELLED = "deletion_cancelled", "Deletion called off"
        DELETED = "deleted", "Account deleted"

    # No constraint: the record outlives the person.
    person = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="security_events",
    )
    kind = models.CharField(max_length=24, choices=Kind)
    at = models.DateTimeField(auto_now_add=True)
    # Empty when it was not done by a request of the person's own.
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    # A reason, the name of a service: never a secret, never an address of somebody else.
    note = models.CharField(max_length=500, blank=True)
    # The operator, when one did it.
    operator_id = models.UUIDField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["person", "-at"], name="security_event_of_person"),
            models.Index(fields=["-at"], name="security_event_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.person_id})"


class GuestJoin(models.Model):
    """A guest whose things go to an account that was there before: see accounts/guest_joins.py.

    The row is what makes it happen whatever crashes, and only once.
    """

    # Not a relation: the guest is removed in the end.
    guest_id = models.UUIDField(unique=True, editable=False)
    account = models.ForeignKey(User, on_delete=models.CASCADE, related_name="joined_guests")
    created_at = models.DateTimeField(auto_now_add=True)
    # When the guest's things were handed over, and when what was left of the guest was removed.
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


class Session(AbstractBaseSession):
    """Django's session with the person it belongs to: accounts/session_store.py."""

    # Not a relation: a session outlives nothing, but is written by requests that come late.
    person_id = models.UUIDField(null=True, db_index=True, editable=False)

    class Meta(AbstractBaseSession.Meta):
        abstract = False

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        from accounts.session_store import SessionStore

        return SessionStore


class Export(models.Model):
    """Everything of one person as one archive, made in the background: accounts/exports.py."""

    class State(models.TextChoices):
        WAITING = "waiting", "waits for a worker"
        BUILDING = "building", "being made"
        READY = "ready", "ready"
        FAILED = "failed", "could not be made"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # One at a time.
    person = models.OneToOneField(User, on_delete=models.CASCADE, related_name="export")
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    # Raised by each claim: what an earlier worker still says counts for nothing.
    attempt = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    # Chats written, of how many.
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
        """Its name in storage. Each attempt has its own: a late writer spoils nobody's file."""
        return f"exports/{self.id.hex}-{self.attempt if attempt is None else attempt}.zip"


class ProviderKey(models.Model):
    """A person's own key of a model provider, encrypted: see accounts/provider_keys.py.

    The key itself is nowhere else, and of it nothing is shown but `last_four`.
    """

    class Status(models.TextChoices):
        OK = "ok", "Works"
        INVALID = "invalid", "Not accepted"
        REVOKED = "revoked", "Revoked"
        FORBIDDEN = "forbidden", "Account blocked"
        OUT_OF_QUOTA = "out_of_quota", "No credit left"
        BUSY = "busy", "Limited for now"
        UNREACHABLE = "unreachable", "Not reachable"
        WRONG_URL = "wrong_url", "Wrong address"
        NOT_ALLOWED = "not_allowed", "Address not allowed"
        UNREADABLE = "unreadable", "Cannot be read"

    class Check(models.TextChoices):
        NONE = "", "none"
        LIST = "list", "its models"
        FULL = "full", "everything"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="provider_keys")
    provider = models.CharField(max_length=16)
    # Both empty but for a custom provider, of which there may be several.
    label = models.CharField(max_length=60, blank=True)
    base_url = models.CharField(max_length=300, blank=True)
    last_four = models.CharField(max_length=4, blank=True)
    key_version = models.PositiveSmallIntegerField()
    nonce = models.BinaryField(max_length=12)
    ciphertext = models.BinaryField()
    # What the provider said of its models, trimmed: accounts/key_check.py.
    model_list = models.JSONField(default=list)
    model_list_read_at = models.DateTimeField(null=True, blank=True)
    status = models.CharField(max_length=16, choices=Status, default=Status.OK)
    checked_at = models.DateTimeField(default=timezone.now)
    # What a worker is to look at, and until when one has said that it does.
    check_wanted = models.CharField(max_length=4, choices=Check, default=Check.NONE, blank=True)
    check_claimed_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["owner", "provider"],
                condition=~models.Q(provider="custom"),
                name="provider_key_one_of_each",
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["check_wanted"],
                condition=~models.Q(check_wanted=""),
                name="provider_key_to_check",
            ),
            models.Index(fields=["key_version", "id"], name="provider_key_by_version"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} key of {self.owner_id}"
