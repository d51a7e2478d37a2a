"""The view that serves a person's picture, to its owner only."""

import re

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.preferences import picture_files
from accounts.preferences.store import preferences_of

NAME = re.compile("[0-9a-f]{32}")
# A name is never reused, so a URL's content never changes.
CACHE_CONTROL = "private, max-age=31536000, immutable"


@require_safe
def picture(request: HttpRequest, name: str, size: int) -> HttpResponse:
    """The current picture of the person who requests it; 404 for anything else."""
    person = request.user
    if not isinstance(person, User) or size not in picture_files.SIZES:
        raise Http404
    if not NAME.fullmatch(name) or preferences_of(person).picture != name:
        raise Http404
    data = picture_files.read(person, name, size)
    if data is None:
        raise Http404
    response = HttpResponse(data, content_type=picture_files.CONTENT_TYPE)
    response["Cache-Control"] = CACHE_CONTROL
    response["Content-Disposition"] = "inline"
    return response
