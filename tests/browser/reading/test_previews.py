"""Previews of HTML, SVG and diagrams: what they show cannot get out."""

import re
import socket
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect

from chat import events as ev
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import ARGUMENTS
from tests.browser.written_chat import write_chat, write_events

BREAKOUT = (Path(__file__).parent / "breakout.html").read_text()
# Counts what the page draws, which must go on whatever a preview does.
COUNT = """(() => {
  window.drawn = 0;
  (function tick() { drawn += 1; requestAnimationFrame(tick); })();
})()"""
DRAWN_SOON = """async () => {
  const before = drawn;
  await new Promise((done) => setTimeout(done, 1500));
  return drawn - before;
}"""
GROWING = "```html\n<p>One</p>\n```\n\nAnd\n\n```html\n<p>Two"
FETCHED = "performance.getEntriesByType('resource').map(({ name }) => name).join()"
REFUSED = {
    *("fetch", "own api", "xhr", "socket", "image", "open", "cookie", "storage", "parent", "top"),
    *("eval", "worker", "rtc"),
}


@pytest.fixture(scope="module")
def desktop(browser, browser_path):
    """A browser that isolates sites in processes, as Chromium does on desktops; its headless shell
    does not."""
    arguments = [*ARGUMENTS, "--site-per-process"]
    launched = browser.browser_type.launch(executable_path=browser_path, args=arguments)
    yield launched
    launched.close()


@pytest.fixture
def shows(stack, desktop):
    """Opens a chat whose answer is this markdown. Its pages are not watched, because what is
    refused is an error on the console."""
    context = desktop.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(30_000)

    def show(markdown):
        alice = ChatPage(context.new_page(), stack.url).visit()
        write_chat(alice, stack, [("Show it", markdown)])
        alice.page.evaluate(COUNT)
        return alice.page

    yield show
    context.close()


@pytest.fixture
def outside():
    """A server that must hear nothing: its address, and what it has heard over TCP and UDP."""
    heard = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", server.server_address[1]))
        udp.setblocking(False)
        yield f"127.0.0.1:{server.server_address[1]}", heard, udp
    server.shutdown()
    server.server_close()


def fenced(language, code):
    return f"Here:\n\n```{language}\n{code}\n```\n\nThat is all."


def preview(page):
    page.get_by_role("button", name="Preview").click()
    return page.frame_locator(".code-preview")


def test_html_is_shown_and_its_scripts_run(shows, shot):
    page = shows(fenced("html", "<h1>Hello</h1><script>document.body.append('ran')</script>"))
    frame = preview(page)
    expect(frame.get_by_role("heading", name="Hello")).to_be_visible()
    expect(frame.locator("body")).to_contain_text("ran")
    expect(page.locator(".code pre")).to_be_hidden()
    expect(page.locator(".code-preview")).to_have_attribute("title", "Preview of HTML")
    shot(page, "preview-html")
    page.get_by_role("button", name="Code", exact=True).click()
    expect(page.locator(".code pre")).to_be_visible()
    expect(page.locator("iframe")).to_have_count(0)


def test_what_it_shows_cannot_get_out(shows, outside):
    address, heard, udp = outside
    page = shows(fenced("html", BREAKOUT.replace("OUTSIDE", address)))
    before = page.url
    frame = preview(page)
    expect(frame.locator("#out")).to_contain_text('"rtc"')
    page.wait_for_timeout(3_000)
    found = frame.locator("#out").evaluate("(out) => JSON.parse(out.textContent)")
    assert {name for name in REFUSED if found[name] != "refused"} == set(), found
    assert page.url == before and len(page.context.pages) == 1
    with pytest.raises(BlockingIOError):
        udp.recv(1)
    assert heard == []


@pytest.mark.parametrize("leave", ["location = '{}'", "document.getElementById('a').click()"])
def test_it_cannot_lead_its_frame_elsewhere(shows, outside, leave):
    address, heard, _ = outside
    link = f"http://{address}/left"
    script = f"setTimeout(() => {{ {leave.format(link)} }})"
    code = f'<a id="a" href="{link}">x</a><script>{script}</script>'
    page = shows(fenced("html", code))
    preview(page)
    page.wait_for_timeout(2_000)
    assert heard == []
    assert page.evaluate(DRAWN_SOON) > 5


def test_an_endless_loop_does_not_hold_the_page_and_is_stopped(shows):
    page = shows(fenced("html", "<p>Busy</p><script>for (;;) {}</script>"))
    page.get_by_role("button", name="Preview").click()
    assert page.evaluate(DRAWN_SOON) > 5
    expect(page.locator(".code-preview-note")).to_contain_text("was stopped")
    expect(page.locator("iframe")).to_have_count(0)
    expect(page.locator(".code pre")).to_be_visible()


def test_a_flood_of_messages_does_not_hold_the_page_and_is_stopped(shows):
    once = "for (let n = 0; n < 500; n++) parent.postMessage('x'.repeat(1000), '*');"
    flood = f"setInterval(() => {{ {once} }})"
    page = shows(fenced("html", f"<p>Flood</p><script>{flood}</script>"))
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".code-preview-note")).to_contain_text("sent too many messages")
    expect(page.locator("iframe")).to_have_count(0)
    expect(page.locator(".code pre")).to_be_visible()
    assert page.evaluate(DRAWN_SOON) > 5


def test_a_preview_that_sends_some_messages_goes_on(shows):
    some = "for (let n = 0; n < 400; n++) parent.postMessage('x', '*');"
    code = f"<p>Some</p><script>{some} document.body.append('sent')</script>"
    page = shows(fenced("html", code))
    frame = preview(page)
    expect(frame.locator("body")).to_contain_text("sent")
    page.wait_for_timeout(1_500)
    expect(frame.get_by_text("Some")).to_be_visible()
    expect(page.locator(".code-preview-note")).to_have_count(0)


def test_svg_is_shown(shows, shot):
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle r="9"/></svg>'
    frame = preview(page := shows(fenced("svg", f'<?xml version="1.0"?>\n{svg}')))
    expect(frame.locator("svg circle")).to_be_attached()
    shot(page, "preview-svg")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_diagram_is_drawn_and_runs_no_script(shows, shot, scheme):
    start = '"<img src=x onerror=document.title=1>Start"'
    code = f'graph TD\n  A[{start}] --> B(End)\n  click A "javascript:parent.x=1"'
    page = shows(fenced("mermaid", code))
    page.emulate_media(color_scheme=scheme)
    assert "mermaid" not in page.evaluate(
        "performance.getEntriesByType('resource').map((r) => r.name).join()"
    )
    frame = preview(page)
    expect(frame.locator("svg")).to_contain_text("End")
    assert frame.locator(":root").evaluate("(root) => [root.ownerDocument.title, origin]") == [
        "diagram",
        "null",
    ]
    # It is as high as the diagram.
    assert 100 < page.locator(".code-preview").bounding_box()["height"] < 350
    shot(page, f"preview-diagram-{scheme}")


def test_a_diagram_with_an_error_says_so(shows):
    frame = preview(shows(fenced("mermaid", "graph TD\n  A --> --> ((")))
    expect(frame.locator("pre")).to_contain_text(re.compile("error", re.I))


def test_only_what_can_be_shown_has_a_preview(alice, stack):
    both = "\n\n".join([fenced("python", "print(1)"), fenced("html", "<p>")])
    write_chat(alice, stack, [("Show it", both)])
    expect(alice.page.get_by_role("button", name="Preview")).to_have_count(1)


def test_a_block_that_still_grows_has_none(alice, stack):
    asked, reply = str(uuid.uuid4()), str(uuid.uuid4())
    events = [
        ev.MessageCreated(message=asked, role="user", text="Show it"),
        ev.MessageCreated(message=reply, role="assistant", parent=asked, model="openai/known"),
        ev.MessageStarted(message=reply, attempt=1, model="openai/known"),
        ev.MessageDelta(message=reply, text=GROWING),
    ]
    write_events(alice, stack, events)
    expect(alice.page.locator(".code")).to_have_count(2)
    expect(alice.page.locator(".code").last).to_contain_text("Two")
    previews = alice.page.locator(".code").get_by_role("button", name="Preview")
    expect(previews).to_have_count(1)
    expect(alice.page.locator(".code").first.get_by_role("button", name="Preview")).to_be_visible()


def test_previews_in_all_looks(shows, inspect):
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle r="4"/></svg>'
    blocks = {"html": "<h1>Hello</h1>", "svg": svg, "mermaid": "graph TD\n  A[Start] --> B(End)"}
    page = shows("\n\n".join(fenced(language, code) for language, code in blocks.items()))
    seen = inspect(page)
    for shown, (language, inside) in enumerate(
        {"html": "h1", "svg": "svg circle", "mermaid": "svg .node"}.items(), start=1
    ):
        page.get_by_role("button", name="Preview").first.click()
        frame = page.frame_locator(f".code[data-language={language}] iframe")
        expect(frame.locator(inside).first).to_be_attached()
        expect(page.locator("iframe")).to_have_count(shown)
    seen.look("previews")
    page.route("**/preview/page", lambda route: route.abort())
    block = page.locator(".code[data-language=html]")
    block.get_by_role("button", name="Code", exact=True).click()
    block.get_by_role("button", name="Preview").click()
    expect(block.get_by_role("status")).to_contain_text("cannot be loaded")
    block.scroll_into_view_if_needed()
    seen.look("preview not loaded")


def test_on_a_phone(shows, shot):
    page = shows(fenced("html", "<h1>Hello</h1>"))
    page.set_viewport_size({"width": 390, "height": 844})
    frame = preview(page)
    expect(frame.get_by_role("heading", name="Hello")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shot(page, "preview-phone")


def test_without_a_connection_it_says_so(shows):
    page = shows(fenced("html", "<h1>Hello</h1>"))
    page.route("**/preview/page", lambda route: route.abort())
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".code-preview-note")).to_contain_text("cannot be loaded")
