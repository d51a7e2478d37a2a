"""What a person can be refused for, whatever they ask for.

AccountsError
├── LimitReached   429  too often within the time; `retry_after_s` says when again
└── Suspended      403  an operator has suspended this person

`code` is stable and documented in docs/protocol.md; `message` is a sentence for a person.
"""

from http import HTTPStatus


class AccountsError(Exception):
    code = "accounts_error"
    status = HTTPStatus.BAD_REQUEST
    message = "This could not be done."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)
        self.message = message or self.message

    @property
    def headers(self) -> dict[str, str]:
        """What the answer carries besides its body."""
        return {}


class LimitReached(AccountsError):
    code = "too_many_requests"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"That was too often. Try again in {spoken_time(retry_after_s)}.")
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class Suspended(AccountsError):
    code = "suspended"
    status = HTTPStatus.FORBIDDEN
    message = "This account is suspended. Write to the people who run this site."


def spoken_time(seconds: int) -> str:
    for unit, length in (("hour", 3_600), ("minute", 60)):
        if seconds > length:
            return f"{-(-seconds // length)} {unit}s"
    return "1 second" if seconds == 1 else f"{seconds} seconds"
