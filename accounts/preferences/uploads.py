"""Files that are sent: no more of them is taken in than can be of use.

Django reads a form with files before any view is asked (its CSRF check looks into the form), so
the bound is here, where the bytes come in.
"""

from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest

# Of all files of one request.
MAX_UPLOAD_BYTES = 10_000_000


class BoundedUploadHandler(FileUploadHandler):
    """First in FILE_UPLOAD_HANDLERS. Past the bound the rest is skipped and no file is given."""

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
    """Whether the request brought more than is taken. Reads the form."""
    request.FILES  # noqa: B018
    return getattr(request, "upload_too_large", False)
