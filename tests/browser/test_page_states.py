"""The chat page in all states, in light, in dark and on a phone: axe finds nothing, and nothing is
wider than the window. tests/browser/accounts/ has the pages of accounts and money, and the states
of credit."""

import re
import uuid

import pytest
from playwright.sync_api import expect

from chat import events as ev
from tests.browser.chat_list import appears, palette, rename_first, row_menu
from tests.browser.chat_page import ChatPage
from tests.browser.clipboard import paste
from tests.browser.inspector import Inspector
from tests.browser.reading.bidi_texts import ARABIC
from tests.browser.written_chat import write_events

QUICK = "[[tokens=12]]"
# Outlasts every inspection.
ENDLESS = "rate=8&tokens=4000"


@pytest.fixture
def seen(alice, inspect):
    return inspect(alice.page)


def test_before_anything_is_written(alice, seen):
    page = alice.page
    seen.look("empty")
    seen.look("empty list", alice.show_list)
    page.get_by_role("button", name="Choose a model").click()
    expect(page.get_by_role("listbox")).to_be_visible()
    seen.look("models", part=".menu-box")
    page.keyboard.press("Escape")
    field = palette(alice)
    seen.look("palette")
    field.fill("zzzz nothing zzzz")
    expect(page.get_by_text("send a first message to start")).to_be_visible()
    seen.look("palette of nobody")
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    seen.look("shortcuts")
    page.keyboard.press("Escape")
    paste(alice, "\n".join(f"line {number} of what was pasted" for number in range(60)))
    alice.field.fill("What is this?\nAnd what is it for?")
    page.locator(".pasted-name").click()
    expect(page.get_by_role("textbox", name="Edit the pasted text")).to_be_visible()
    seen.look("pasted")


def test_what_is_not_there(new_context, stack, inspect):
    page = new_context().new_page()
    page.route("**/api/models", lambda route: route.fulfill(json={"models": [], "default": None}))
    page.route("**/", without_models)
    alice = ChatPage(page, stack.url).visit()
    seen = inspect(page)
    expect(page.get_by_text("No model is available")).to_be_visible()
    seen.look("no model")
    page.unroute_all()
    # A model that becomes available is found without a reload.
    expect(page.get_by_text("No model is available")).to_have_count(0)
    alice.visit()
    for part in ("**/conversation*.js", "**/lazy_markdown*.js"):
        page.route(part, lambda route: route.abort("internetdisconnected"))
    alice.send(f"{QUICK} Hello")
    expect(page.locator(".skeleton").first).to_be_visible()
    seen.look("skeleton")
    page.unroute_all()
    alice.ended()
    page.evaluate("history.pushState(null, '', `/c/${crypto.randomUUID()}`)")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.get_by_text("This chat is not here")).to_be_visible()
    seen.look("not here")


def without_models(route):
    """The page of a server that has no model."""
    response = route.fetch()
    models = re.sub(
        r'"models": ?\[.*?\], ?"models_more"', '"models":[],"models_more"', response.text()
    )
    route.fulfill(response=response, body=models)


CODE = "".join(
    f"value_{n} = compute({n}, name='a long line of code', more=[1, 2, 3])\n" for n in range(60)
)
ANSWER = f"""\
# A title

Words with *emphasis*, **weight**, `code`, ~~mistakes~~ and a [link](https://example.org/).[^1]

- [x] done
- [ ] open

| a | b | c |
| :- | :-: | -: |
| one | two | 3 |

> A quote, and $e^{{i\\pi}} = -1$ in it.

$$\\int_0^\\infty e^{{-x^2}}\\,dx = \\frac{{\\sqrt\\pi}}{{2}}$$

```python
{CODE}```

[^1]: A note.
"""


def answer_that(parent, text, *, finish="stop", **more):
    """Returns the events of an answer that ended in a certain way."""
    reply = str(uuid.uuid4())
    length, sha256 = ev.fingerprint(text)
    model = "openai/known"
    started = {"left_out": more.pop("left_out", 0), "credit_limit_tokens": more.pop("limit", None)}
    seams = more.pop("seams", ())
    begun = [
        ev.MessageCreated(message=reply, role="assistant", parent=parent, model=model),
        ev.MessageStarted(message=reply, attempt=1, model=model, **started),
        *(
            ev.MessageResumed(
                message=reply,
                attempt=number,
                reason=reason,
                means=means,
                length=number * 100,
                credit_limit_tokens=started["credit_limit_tokens"],
            )
            for number, (reason, means) in enumerate(seams, start=2)
        ),
    ]
    ended = {"message": reply, "length": length, "sha256": sha256}
    if finish == "error":
        text_of_error = "The model’s server is overloaded. Try again in a moment."
        end = ev.MessageError(
            **ended, code="provider_busy", text=text_of_error, retryable=True, text_kept=text
        )
    else:
        usage = {"prompt_tokens": 1_200, "completion_tokens": 345}
        end = ev.MessageCompleted(
            **ended,
            finish=finish,
            model=model,
            duration_ms=4_200,
            usage=usage,
            cost_micro_usd=1_234,
            text=text,
            **more,
        )
    return reply, [*begun, end]


def every_ending():
    """Returns the events of a chat whose answers ended in all possible ways."""
    seams = [("lost", "prefill"), ("provider", "ask"), ("user", "restart")]
    long = "a-word-without-an-end" * 12 + "\n\n```pasted\n" + "a pasted line\n" * 50 + "```"
    endings = [
        ("How does it look?", ANSWER, {"reasoning": "First *this*, then that.", "reasoning_ms": 9}),
        ("اكتب لي شيئا", ARABIC, {"left_out": 3}),
        ("Again", "It goes on.", {"seams": seams}),
        ("Too long", "A long answer", {"finish": "length"}),
        ("Not this", "A short answer", {"finish": "content_filter"}),
        ("Dear", "As much as there was", {"finish": "length", "limit": 64}),
        ("Say nothing", "", {}),
        ("Stop", "", {"finish": "stopped"}),
        ("Stop later", "Half of", {"finish": "stopped"}),
        (long, "I see.", {}),
        ("Fail", "A part of the answer", {"finish": "error"}),
    ]
    parent, events = None, []
    for question, text, more in endings:
        for _ in range(2 if question == "Again" else 1):
            asked = str(uuid.uuid4())
            said = ev.MessageCreated(message=asked, role="user", parent=parent, text=question)
            reply, answer = answer_that(asked, text, **more)
            events += [said, *answer]
        parent = reply
    return events


def test_however_an_answer_has_ended(alice, stack, seen):
    write_events(alice, stack, every_ending())
    page = alice.page
    expect(page.locator(".katex").first).to_be_visible()
    expect(page.locator(".hljs-string").first).to_be_visible()
    expect(alice.answers).to_have_count(11)
    for fold in page.locator(".reasoning, .seams, .pasted-block").all():
        fold.locator("summary").click()
    expect(page.locator(".reasoning-text")).to_contain_text("then that")
    for number in range(11):
        alice.questions.nth(number).evaluate("(node) => node.scrollIntoView()")
        seen.shot(page, f"endings-{number}")
    seen.look("endings")
    for width in (640, 1920, 2560):
        page.set_viewport_size({"width": width, "height": 1200})
        seen.fits(f"endings {width}")
        seen.shot(page, f"endings-{width}")
    # text at twice its size
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 860})
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        seen.fits(f"endings at 200 %, {width}")
        expect(alice.field).to_be_in_viewport()
        seen.shot(page, f"endings-200-percent-{width}")
    page.evaluate("document.documentElement.style.fontSize = ''")
    page.set_viewport_size({"width": 1280, "height": 860})
    page.get_by_role("button", name="Instructions for this chat").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    seen.look("instructions")
    page.keyboard.press("Escape")
    alice.questions.first.hover()
    alice.questions.first.get_by_role("button", name="Edit").click()
    expect(page.locator(".message-editing")).to_be_visible()
    seen.look("editing")
    page.keyboard.press("Escape")
    page.goto(f"{page.url}#{alice.questions.nth(6).get_attribute('id')}")
    expect(page.locator(".message-target")).to_be_in_viewport()
    seen.look("jump")


def test_while_an_answer_is_written(alice, seen):
    page = alice.page
    alice.send("[[headers_ms=600000]] Hello")
    expect(page.locator(".progress")).to_contain_text("Thinking")
    seen.look("thinking")
    page.keyboard.press("Escape")
    alice.ended()
    alice.send(f"[[{ENDLESS}&reasoning=4000]] Think")
    page.locator(".reasoning summary").click()
    expect(page.locator(".reasoning-text")).to_contain_text(re.compile(r"\w+ \w+"))
    seen.look("reasoning")
    page.keyboard.press("Escape")
    alice.ended()
    alice.send(f"[[{ENDLESS}&per_chunk=20]] Long")
    alice.writing()
    alice.send(f"{QUICK} second")
    expect(alice.questions.last).to_contain_text("Next in line")
    page.locator(".scroller").evaluate("(node) => node.scrollTo(0, 0)")
    expect(page.get_by_role("button", name=re.compile("Jump to the latest"))).to_be_visible()
    seen.look("streaming")
    page.keyboard.press("Escape")
    alice.ended()


def test_what_waits_to_be_sent(alice, seen):
    page = alice.page
    alice.ask(f"{QUICK} Hello")
    page.context.set_offline(True)
    alice.send(f"{QUICK} one")
    alice.send(f"{QUICK} two")
    expect(alice.questions.last).to_contain_text("waiting for the connection")
    seen.look("offline")
    body = {"error": {"code": "message_too_long", "message": "This message is too long."}}
    page.route("**/messages", lambda route: route.fulfill(status=413, json=body))
    page.context.set_offline(False)
    expect(alice.questions.nth(1)).to_contain_text("Not sent. This message is too long.")
    expect(alice.questions.nth(2)).to_contain_text("waits for the message before it")
    seen.look("refused")


# A socket that opens, ends with a code, or does neither, as the name of the window says. This test
# inspects what the page shows then; how it happens and ends is tested in
# tests/browser/connection/test_connection.py. Timers of seconds never end, so the state stays.
SOCKET = """const later = window.setTimeout;
window.setTimeout = (run, ms, ...rest) => later(run, ms < 3_000 ? ms : 1e9, ...rest);
window.WebSocket = class extends EventTarget {
  readyState = 0;
  constructor() { super(); later(() => this.begin(window.name)); }
  begin(how) {
    if (how === "opens") (this.readyState = 1), this.onopen();
    else if (how) this.onclose({ code: Number(how) });
  }
  send() {}
  close() {}
};"""
CONNECTIONS = {
    "connecting": "",
    "catching-up": "opens",
    "offline": "4408",
    "signed-out": "4401",
    "suspended": "4410",
    "stopped": "4403",
}


def test_however_the_connection_is(alice, new_context, inspect):
    alice.ask(f"{QUICK} Hello")
    page = new_context(storage_state=alice.page.context.storage_state()).new_page()
    page.add_init_script(SOCKET)
    seen = inspect(page)
    page.goto(alice.page.url)
    for kind, how in CONNECTIONS.items():
        page.evaluate("(how) => { window.name = how; }", how)
        page.reload()
        expect(page.locator(f".connection-{kind}")).to_be_visible()
        expect(page.locator(".message-answer .md")).to_be_visible()
        # The rest of the page is the same each time.
        seen.look(f"connection {kind}", part="html" if kind == "connecting" else ".main")


def test_the_list_of_chats(alice, seen):
    page = alice.page
    for title in (
        "How high the tides in the bay are, and when the water comes back",
        "Mended",
        "Kept",
    ):
        alice.visit().ask(f"{QUICK} {title}")
        rename_first(alice, title)
    alice.visit().ask(f"{QUICK} Thrown away")
    rename_first(alice, "Thrown away")
    row_menu(alice, "Kept", "Pin")
    alice.visit().ask("[[rate=10&tokens=20]] Unread")
    alice.visit().send(f"[[{ENDLESS}]] Answering")
    alice.writing()
    alice.chats.filter(has_text="Mended").click()
    expect(page.locator(".pulse")).to_be_visible()
    row_menu(alice, "Thrown away", "Delete")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    seen.look("list", alice.show_list)
    seen.look("menu of a chat", lambda: show_menu(alice, "How high"), part=".row-menu")
    page.keyboard.press("Escape")
    seen.look("renaming", lambda: show_renaming(alice))
    page.keyboard.press("Escape")
    row_menu(alice, "Mended", "Archive")
    for name in ("Archived", "Recently deleted"):
        alice.pick_of_account(name)
        expect(alice.chats.or_(page.locator(".chat-link-gone"))).to_have_count(1)
        seen.look(name, alice.show_list)
        page.get_by_role("button", name="Back to your chats").click()
    field = palette(alice)
    seen.look("palette of chats")
    for _ in range(20):  # new messages take a moment to be indexed
        field.fill("tides")
        if appears(page.get_by_role("option").locator("mark").first):
            break
        field.fill("")
    seen.look("palette found")
    field.fill("zzzz nothing zzzz")
    expect(page.get_by_text("Nothing found for")).to_be_visible()
    seen.look("palette nothing")


def show_menu(tab, title):
    tab.show_list()
    if not tab.page.get_by_role("menu").count():
        tab.page.get_by_role("button", name=re.compile(f"Options for “{title}")).click()
    expect(tab.page.get_by_role("menu")).to_be_visible()


def show_renaming(tab):
    tab.show_list()
    field = tab.page.get_by_role("textbox", name="Title of the chat")
    if not field.count():
        tab.chats.first.press("F2")
    expect(field).to_be_focused()


# The inspector itself

FAULTS = {
    # Somebody who says “Send” to the page would press nothing (WCAG 2.5.3).
    "label-content-name-mismatch": '<button aria-label="Submit the form">Send</button>',
    # Two targets of 10 px side by side (WCAG 2.5.8).
    "target-size": "<button class='small'>a</button><button class='small'>b</button>",
}
PAGE = """<!doctype html><html lang="en"><title>Faults</title>
<style>.small {{ width: 10px; height: 10px; padding: 0; border: 0 }}</style>
<main><h1>Faults</h1>{}</main></html>"""


@pytest.mark.parametrize("rule", FAULTS)
def test_the_inspector_reports_what_breaks_the_rule(new_context, rule):
    page = new_context().new_page()
    page.set_content(PAGE.format(FAULTS[rule]))
    inspector = Inspector(page, lambda *_: None)
    inspector.look("faults")
    assert any(f": {rule} (" in problem for problem in inspector.problems), inspector.problems
