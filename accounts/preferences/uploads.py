"""A size limit for uploaded files.

Django parses a form with files before it calls the view, because its CSRF check reads the form. So
the limit is in an upload handler.
"""

from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest

# For all files of one request together.
MAX_UPLOAD_BYTES = 10_000_000


class BoundedUploadHandler(FileUploadHandler):
    """The first of FILE_UPLOAD_HANDLERS. Past the limit it skips the rest and returns no file."""

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self._bytes = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self._bytes += len(raw_data)
        if self._bytes > MAX_UPLOAD_BYTES:
            self.request.upload_too_large = True  # type: ignore[union-attr]
            raise StopUpload(connection_reset=False)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


def is_too_large(request: HttpRequest) -> bool:
    """Whether the request's files exceed the limit. Reads the form."""
    request.FILES  # noqa: B018
    return getattr(request, "upload_too_large", False)
