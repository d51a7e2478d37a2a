"""The headers of every response: pages, API, static files, and errors before Django.

Django and django-csp set most of them on the responses of their middleware. This wraps the whole
application and adds the missing ones. A script, a style sheet or a font is never shown as a page,
so it gets only the headers that apply to it: a page loads many of them, and the other headers would
be half a kilobyte each.
"""

from typing import Any

from django.conf import settings

# Speech is recorded by our pages only.
PERMISSIONS_POLICY = "microphone=(self), " + ", ".join(
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
        "midi",
        "payment",
        "serial",
        "usb",
        "xr-spatial-tracking",
    )
)
# For responses that are not pages: they load nothing and may not be framed.
BARE_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

# A script of ours may run as a worker, which loads more scripts of ours under its own policy.
SCRIPT_POLICY = "default-src 'none'; script-src 'self'"
SHEETS = (b"text/css", b"font/")
VALIDATORS = (b"etag", b"last-modified")
NOT_ONLY_FOR_PAGES = ("x-content-type-options", "strict-transport-security")


class SecurityHeaders:
    def __init__(self, application: Any) -> None:
        self._application = application
        headers = {
            # Nobody stores a response unless its view allows it: neither a proxy, nor the browser,
            # whose back button would show it to the next person after a sign-out.
            "cache-control": "private, no-store",
            "content-security-policy": BARE_POLICY,
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": PERMISSIONS_POLICY,
            "referrer-policy": settings.SECURE_REFERRER_POLICY,
            "x-content-type-options": "nosniff",
            "x-frame-options": settings.X_FRAME_OPTIONS,
        }
        if settings.HTTPS:
            # Django sends it only in response to https. A browser ignores it over plain http.
            headers["strict-transport-security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
        self._wanted = _encoded(headers)
        few = {name: value for name, value in headers.items() if name in NOT_ONLY_FOR_PAGES}
        self._wanted_of_sheets = _encoded(few)
        self._wanted_of_scripts = _encoded(few | {"content-security-policy": SCRIPT_POLICY})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {bytes(name).lower(): bytes(value) for name, value in headers}
                if b"immutable" in there.get(b"cache-control", b""):
                    # The browser never revalidates it, so validators are of no use.
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
