"""The reasons for which a file is refused.

FileNotFound          404  the person has no such file, or it belongs to another chat
FileInUse             409  a message has the file
FileNotReady          409  the file is not checked yet
FileIncomplete        409  parts are missing
FileStorageFull       409  the person's files have reached their quota
TooManyFiles          413  more files, or more bytes, than one message may have
FileTooLarge, ...     413, 415, 422  what the file is: FileRefusal
StorageUnavailable    503  the storage cannot be read or written
"""

from http import HTTPStatus
from typing import Any

from django.utils.translation import gettext, gettext_noop

from chat.errors import ChatError

MAX_FILES = 10
MAX_FILES_BYTES = 60_000_000


class FileNotFound(ChatError):
    code = "file_not_found"
    status = HTTPStatus.NOT_FOUND
    message = gettext_noop("This file does not exist any more. Attach it again.")


class FileInUse(ChatError):
    code = "file_in_use"
    status = HTTPStatus.CONFLICT
    message = gettext_noop(
        "A message has this file. Delete it on the page of files in the settings."
    )


class FileNotReady(ChatError):
    code = "file_not_ready"
    status = HTTPStatus.CONFLICT
    message = gettext_noop("A file of this message is not ready yet. Send again in a moment.")


class FileIncomplete(ChatError):
    """`missing`: the numbers of the parts that have not arrived; `wav_missing`: of the WAV."""

    code = "file_incomplete"
    status = HTTPStatus.CONFLICT
    message = gettext_noop("Parts of this file have not arrived yet. Send them again.")

    def __init__(self, missing: list[int], wav_missing: list[int]) -> None:
        super().__init__()
        self.missing, self.wav_missing = missing, wav_missing

    @property
    def details(self) -> dict[str, Any]:
        more = {"wav_missing": self.wav_missing} if self.wav_missing else {}
        return {"missing": self.missing} | more


class FileStorageFull(ChatError):
    code = "storage_full"
    status = HTTPStatus.CONFLICT

    def __init__(self, *, is_guest: bool) -> None:
        if is_guest:
            text = gettext(
                "No room is left for this file. Sign up, or delete files in the settings."
            )
        else:
            text = gettext("No room is left for this file. Delete other files in the settings.")
        super().__init__(text)


class TooManyFiles(ChatError):
    code = "too_many_files"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = gettext_noop(
        "A message can have up to 10 files, 60 MB in total. Send some separately."
    )


class StorageUnavailable(ChatError):
    code = "storage_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = gettext_noop("Files cannot be stored right now. Try again in a moment.")


class FileRefusal(ChatError):
    """The file itself cannot be used."""

    code = "file_damaged"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    message = gettext_noop("This file is damaged or incomplete. Save it again, or use another one.")


class FileKind(FileRefusal):
    code = "file_kind"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    message = gettext_noop(
        "This kind of file cannot be used. Attach a picture, sound, a PDF, an office document or "
        "text."
    )


class FileTooLarge(FileRefusal):
    code = "file_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = gettext_noop(
        "This file is too large. Pictures can be up to 20 MB, sound 25 MB, documents 32 MB, "
        "text files 5 MB."
    )


class FileTooLong(FileRefusal):
    code = "file_too_long"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = gettext_noop(
        "This file is too long. Documents can have up to 500 pages, sound 15 minutes."
    )


class FileTooManyPixels(FileRefusal):
    code = "file_too_many_pixels"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = gettext_noop(
        "This picture has more than 50 million pixels. Make it smaller and attach it again."
    )


class FileLocked(FileRefusal):
    code = "file_locked"
    message = gettext_noop("This document needs a password. Attach a copy without one.")


class FileEmpty(FileRefusal):
    code = "file_empty"
    message = gettext_noop("This file is empty.")


REFUSALS: dict[str, type[FileRefusal]] = {
    kind.code: kind
    for kind in (
        FileRefusal,
        FileKind,
        FileTooLarge,
        FileTooLong,
        FileTooManyPixels,
        FileLocked,
        FileEmpty,
    )
}
