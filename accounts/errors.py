"""Errors that refuse a request, whichever app it is for.

AccountsError
├── LimitReached      429  too many requests; `retry_after_s` says when to try again
│   └── LimitUnknown  503  the limit's count cannot be read now
├── StorageFull       413  this person's storage is full
│   └── AddressFull   413  guests at this address have stored their share for the day
├── StorageBusy       503  Redis is too full for new text
├── Suspended         403  an operator has suspended this person
├── Leaving           403  this person has asked for their account to be deleted
├── NotSignedIn       401  nobody is signed in
├── MethodNotAllowed  405  `Allow` lists the allowed methods
├── OtherPerson       409  somebody else has signed in since the page was loaded
├── HostNotAllowed    400  the operator has not configured the host in the browser's address bar
├── OriginNotAllowed  403  the operator has not configured the origin of the page
├── SettingsRefused   400  a value is not allowed; `fields` says why, by field
└── PictureRefused    its subclasses say what is wrong with an uploaded picture
    ├── PictureMissing         400
    ├── PictureTooLarge        413  too many bytes
    ├── PictureTooManyPixels   413  decoding it would take too much memory
    ├── PictureBusy            503  too many pictures are being decoded now
    ├── PictureKind            415  unknown format
    ├── PictureAnimated        422
    └── PictureDamaged         422

`code` is stable and documented in docs/protocol.md; `message` is a sentence for a person.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext, gettext_noop, ngettext

from accounts.refusals import Refusal

if TYPE_CHECKING:
    from accounts.models import User

RETRY_AFTER_S = 5
# Memory is freed only when something is erased or an operator adds some.
BUSY_RETRY_AFTER_S = 30
# With CHAT_UNDO_HOURS = 0: how long chat/personal_data/erase.py and its worker take at most.
ERASED_AFTER_S = 300


class AccountsError(Refusal):
    code = "accounts_error"


class LimitReached(AccountsError):
    code = "too_many_requests"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            gettext("That was too often. Try again in %(time)s.")
            % {"time": duration_text(retry_after_s)}
        )
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class LimitUnknown(LimitReached):
    """Refuses actions that cost money or storage while their limits cannot be counted."""

    code = "limit_unknown"
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self) -> None:
        AccountsError.__init__(
            self, gettext("This cannot be done right now. Try again in a moment.")
        )
        self.retry_after_s = RETRY_AFTER_S


class StorageFull(AccountsError):
    """`person` owns the budget; None stands for a visitor, who would become a guest."""

    code = "storage_full"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, person: "User | None" = None) -> None:
        if person is None or person.is_guest:
            text = gettext(
                "You have stored as much as a guest can. Sign up for more room, or delete chats: "
                "they make room after %(time)s."
            )
        else:
            text = gettext(
                "You have stored as much as an account can. Delete chats that you no longer need: "
                "they make room after %(time)s."
            )
        super().__init__(text % {"time": room_after()})


class AddressFull(StorageFull):
    """Guests at this address have stored as much as they may in a day."""

    def __init__(self, retry_after_s: int) -> None:
        AccountsError.__init__(
            self,
            gettext(
                "Guests on your network have stored as much as they can in a day. "
                "Sign up to go on, or try again in %(time)s."
            )
            % {"time": duration_text(retry_after_s)},
        )
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class StorageBusy(AccountsError):
    code = "storage_busy"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = gettext_noop(
        "There is little room left on this site, so nothing new is taken right now. "
        "Your text is not lost: try again later."
    )

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(BUSY_RETRY_AFTER_S)}


class Suspended(AccountsError):
    code = "suspended"
    status = HTTPStatus.FORBIDDEN
    message = gettext_noop("This account is suspended. Write to the people who run this site.")


class HostNotAllowed(AccountsError):
    """The message names settings, for the operator. It never repeats the host that was sent."""

    code = "host_not_allowed"
    message = gettext_noop(
        "Holdfast is not set up for the address in your browser. Whoever runs it can set "
        "HOLDFAST_URL to that address, or add its host to ALLOWED_HOSTS, and start it again."
    )


class OriginNotAllowed(AccountsError):
    code = "origin_not_allowed"
    status = HTTPStatus.FORBIDDEN
    message = gettext_noop(
        "Holdfast takes nothing from a page at the address in your browser. Whoever runs it can "
        "set HOLDFAST_URL to that address, or add it to CSRF_TRUSTED_ORIGINS, and start it again; "
        "behind a proxy, docs/configuration.md says what that must pass on."
    )


class NotSignedIn(AccountsError):
    code = "sign_in"
    status = HTTPStatus.UNAUTHORIZED
    message = gettext_noop("Sign in, or send a first message to start as a guest.")


class MethodNotAllowed(AccountsError):
    code = "method_not_allowed"
    status = HTTPStatus.METHOD_NOT_ALLOWED

    def __init__(self, methods: tuple[str, ...]) -> None:
        super().__init__(f"This address knows the methods {', '.join(methods)} only.")
        self.methods = methods

    @property
    def headers(self) -> dict[str, str]:
        return {"Allow": ", ".join(self.methods)}


class OtherPerson(AccountsError):
    code = "other_person"
    status = HTTPStatus.CONFLICT
    message = gettext_noop(
        "Somebody else has signed in here since this was written. Reload the page."
    )


class SettingsRefused(AccountsError):
    """`fields` maps each refused field to a sentence. The message quotes the first."""

    code = "bad_request"
    message = gettext_noop("The request is not in the expected form.")

    def __init__(self, fields: dict[str, str] | None = None, message: str | None = None) -> None:
        self.fields = fields or {}
        for name, sentence in self.fields.items():
            message = message or f"“{name}”: {sentence}"
        super().__init__(message)

    @property
    def details(self) -> dict[str, dict[str, str]]:
        return {"fields": self.fields} if self.fields else {}


class PictureRefused(AccountsError):
    code = "picture_damaged"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    message = gettext_noop("This picture could not be read. Choose another one.")


class PictureMissing(PictureRefused):
    code = "picture_missing"
    status = HTTPStatus.BAD_REQUEST
    message = gettext_noop("No picture came with the request. Choose a file first.")


class PictureTooLarge(PictureRefused):
    code = "picture_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = gettext_noop(
        "This file is larger than 10 MB. Choose a smaller one, or save it with less quality."
    )


class PictureTooManyPixels(PictureRefused):
    code = "picture_too_many_pixels"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = gettext_noop(
        "This picture has too many pixels: a JPEG may have 40 million, another picture 16 million. "
        "Make it smaller and try again."
    )


class PictureBusy(PictureRefused):
    code = "picture_busy"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = gettext_noop("Too many pictures came at once. Try again in a moment.")


class PictureKind(PictureRefused):
    code = "picture_kind"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    message = gettext_noop(
        "This is not a picture of a kind we know. Use a JPEG, PNG, WebP or GIF file."
    )


class PictureAnimated(PictureRefused):
    code = "picture_animated"
    message = gettext_noop("Animated pictures cannot be used here. Choose one that does not move.")


class PictureDamaged(PictureRefused):
    message = gettext_noop("This file is damaged or cut off. Save it again, or choose another one.")


class Leaving(AccountsError):
    code = "leaving"
    status = HTTPStatus.FORBIDDEN
    message = gettext_noop("This account is about to be deleted. Open Holdfast to keep it.")


def room_after() -> str:
    """The time until a deleted chat's storage is free again, as text."""
    return duration_text(max(settings.CHAT_UNDO_HOURS * 3_600, ERASED_AFTER_S))


def duration_text(seconds: int) -> str:
    """A duration as text, such as "2 minutes", rounded up."""
    if seconds > 3_600:
        count = -(-seconds // 3_600)
        return ngettext("%(count)d hour", "%(count)d hours", count) % {"count": count}
    if seconds > 60:
        count = -(-seconds // 60)
        return ngettext("%(count)d minute", "%(count)d minutes", count) % {"count": count}
    return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
