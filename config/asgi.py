"""The ASGI application: static files, pages and API (Django), WebSockets and polling (Channels)."""

import os
from typing import Any, cast

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)  # The imports below may import models.

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402
from django.urls import re_path  # noqa: E402
from servestatic import ServeStaticASGI  # noqa: E402

from chat.websocket import routing  # noqa: E402
from chat.websocket.auth import with_session  # noqa: E402
from config.web.asgi_handler import FlowingHandler  # noqa: E402
from config.web.body_limits import BoundedBodies  # noqa: E402
from config.web.bundle import IMMUTABLE  # noqa: E402
from config.web.security_headers import SecurityHeaders  # noqa: E402
from config.websocket.end import EndTogether  # noqa: E402


def _static(application: Any) -> Any:
    """Serves static files before Django; with DEBUG, from the source folders."""
    if settings.DEBUG:
        return ASGIStaticFilesHandler(application)
    root = settings.STATIC_ROOT
    return ServeStaticASGI(
        application,
        root=root if root.is_dir() else None,
        prefix=settings.STATIC_URL,
        allow_all_origins=False,
        immutable_file_test=IMMUTABLE,
    )


django_application = FlowingHandler()
# The router copies the scope, which BoundedBodies shares with Django, so it comes first.
_pages = BoundedBodies(_static(django_application))
_served = URLRouter([*routing.http_urlpatterns, re_path("", cast(Any, _pages))])
application = ProtocolTypeRouter(
    {
        "http": SecurityHeaders(_served),
        # The consumer checks user and origin, and refuses with a close code.
        "websocket": EndTogether(with_session(URLRouter(routing.websocket_urlpatterns))),
    }
)
