"""The frames that show what an answer contains: HTML, SVG, and diagrams.

A frame shows text that a model wrote, so it is treated as hostile. Its headers give it an origin of
its own, without cookies or storage: nothing is loaded but the scripts named here, no request is
made, no window is opened and no form submitted. WebRTC is not covered by policies and can send a
few bytes. The response has no content of anybody; the page sends the text to the frame
(static/js/chat/markdown/preview.js). docs/decisions/page.md says what was measured.
"""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

PAGE, DIAGRAM = "page", "diagram"
SCRIPTS = {
    PAGE: ["js/frames/page.js"],
    DIAGRAM: ["vendor/mermaid-12.3.0/mermaid.js", "js/frames/diagram.js"],
}


@require_safe
async def frame(request: HttpRequest, kind: str) -> HttpResponse:
    """An empty page that draws what it is sent: "page" (HTML, SVG) or "diagram" (Mermaid)."""
    if kind not in SCRIPTS:
        raise Http404
    # By address, because "self" is not the origin of a sandboxed page in every browser.
    scripts = [request.build_absolute_uri(static(name)) for name in SCRIPTS[kind]]
    response = render(request, "chat/frame.html", {"scripts": scripts, "kind": kind})
    response["Content-Security-Policy"] = _policy(kind, scripts)
    response["X-Frame-Options"] = "SAMEORIGIN"
    # Where the browser allows it, the frame is in a process of its own.
    response["Origin-Agent-Cluster"] = "?1"
    response["X-DNS-Prefetch-Control"] = "off"
    return response


def _policy(kind: str, scripts: list[str]) -> str:
    # In a diagram no script may run but ours; in a page those of its text may.
    inline = ["'unsafe-inline'"] if kind == PAGE else []
    directives = {
        "sandbox": ["allow-scripts"],
        "default-src": ["'none'"],
        "script-src": [*scripts, *inline],
        "style-src": ["'unsafe-inline'"],
        "img-src": ["data:"],
        "font-src": ["data:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'self'"],
    }
    return "; ".join(f"{name} {' '.join(values)}" for name, values in directives.items())
