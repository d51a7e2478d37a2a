"""The headers that every answer carries: pages, API, static files, and what fails before Django.

Django and django-csp set most of them on what passes their middleware; this wraps the whole
application and adds what is missing.
"""

from typing import Any

from django.conf import settings

PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "autoplay",
        "browsing-topics",
        "camera",
        "display-capture",
        "encrypted-media",
        "geolocation",
        "gyroscope",
        "hid",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "serial",
        "usb",
        "xr-spatial-tracking",
    )
)
# For what is no page: it loads nothing and is shown in nothing.
BARE_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class SecurityHeaders:
    def __init__(self, application: Any) -> None:
        self._application = application
        headers = {
            "content-security-policy": BARE_POLICY,
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": PERMISSIONS_POLICY,
            "referrer-policy": settings.SECURE_REFERRER_POLICY,
            "x-content-type-options": "nosniff",
            "x-frame-options": settings.X_FRAME_OPTIONS,
        }
        if settings.HTTPS:
            # Django sends it on what arrived by https; to a browser that has no https it means
            # nothing.
            headers["strict-transport-security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
        self._wanted = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {bytes(name).lower() for name, _ in headers}
                headers += [header for header in self._wanted if header[0] not in there]
                message = message | {"headers": headers}
            await send(message)

        await self._application(scope, receive, send_with_headers)
