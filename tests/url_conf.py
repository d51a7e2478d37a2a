"""The routes of the URL conf."""

from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver


def routes(resolver=None, prefix="", path="/") -> Iterator[tuple[str, str, bool]]:
    """(full name, path, whether it has arguments) of every route in the URL conf."""
    for pattern in (resolver or get_resolver()).url_patterns:
        here = path + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            within = f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix
            yield from routes(pattern, within, here)
        else:
            assert isinstance(pattern, URLPattern)
            yield f"{prefix}{pattern.name}", here, "<" in here or "(" in here
