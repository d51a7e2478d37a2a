"""The headers that every answer carries: pages, API, static files, and what fails before Django.

Django and django-csp set most of them on what passes their middleware; this wraps the whole
application and adds what is missing. A script, a sheet or a font can be no page, whatever its
address is opened in: it gets those of them that mean something there. (A page loads many of them;
the others would be half a kilobyte each.)
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

# A script of ours may run as a worker, which loads more scripts of ours under its own policy.
SCRIPT_POLICY = "default-src 'none'; script-src 'self'"
SHEETS = (b"text/css", b"font/")
VALIDATORS = (b"etag", b"last-modified")
OF_NO_PAGE = ("x-content-type-options", "strict-transport-security")


class SecurityHeaders:
    def __init__(self, application: Any) -> None:
        self._application = application
        headers = {
            # What a view has not said may be kept is kept by nobody: not by a proxy, and not for
            # the back button of who comes after somebody signed out.
            "cache-control": "private, no-store",
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
        self._wanted = _encoded(headers)
        few = {name: value for name, value in headers.items() if name in OF_NO_PAGE}
        self._wanted_of_sheets = _encoded(few)
        self._wanted_of_scripts = _encoded(few | {"content-security-policy": SCRIPT_POLICY})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {bytes(name).lower(): bytes(value) for name, value in headers}
                if b"immutable" in there.get(b"cache-control", b""):
                    # Never asked for again, so nothing to ask by.
                    headers = [pair for pair in headers if pair[0].lower() not in VALIDATORS]
                wanted = self._wanted_for(there.get(b"content-type", b""))
                headers += [header for header in wanted if header[0] not in there]
                message = message | {"headers": headers}
            await send(message)

        await self._application(scope, receive, send_with_headers)

    def _wanted_for(self, content_type: bytes) -> list[tuple[bytes, bytes]]:
        if content_type.startswith(b"text/javascript"):
            return self._wanted_of_scripts
        return self._wanted_of_sheets if content_type.startswith(SHEETS) else self._wanted


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
