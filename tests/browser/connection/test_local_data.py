"""The browser's stored data: its owner and its deletion; the version that runs after a deploy."""

import shutil
import uuid

import pytest
from playwright.sync_api import expect

from tests.accounts.people import PASSWORD
from tests.accounts.push_service import Browser
from tests.browser.chat_page import ChatPage
from tests.browser.files.samples import attach, text_file
from tests.browser.prompts import QUICK, prompts_of
from tests.browser.stored_data import KEPT, chat_is_kept, is_kept, shell_ready
from tests.stack import BASE_DIR

MAKE_PEOPLE = """
from accounts.models import User
from allauth.account.models import EmailAddress
for email in {emails}:
    user = User.objects.create_user(email, "{password}")
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
"""
END_SESSIONS = """
from accounts import sessions
from allauth.usersessions.models import UserSession
for session in UserSession.objects.filter(user__email="{email}"):
    sessions.end(session)
"""
COUNT_PEOPLE = """
from accounts.models import User
print(User.objects.count())
"""
NAMES = ("alice", "bob")
COPIED = ("accounts", "billing", "chat", "config", "streams", "static", "templates", "manage.py")


def run_code(stack, code):
    """Runs code in a shell of the stack; returns its output."""
    done = stack.manage("shell", "-v", "0", "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def person(stack):
    """Returns the email address of an account that no test has used yet. A command takes seconds,
    so one creates them all."""
    emails = {name: [f"{name}-{number}@example.org" for number in range(3)] for name in NAMES}
    code = MAKE_PEOPLE.format(emails=sum(emails.values(), []), password=PASSWORD)
    run_code(stack, code)
    return lambda name: emails[name].pop()


def sign_in(page, url, email):
    page.goto(f"{url}/account/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).first.click()
    return ChatPage(page, url).visit()


def test_signing_out_leaves_nothing_in_the_browser(stack, person, new_context):
    alice_email, bob_email = person("alice"), person("bob")
    context = new_context()
    alice = sign_in(context.new_page(), stack.url, alice_email)
    alice.ask(f"{QUICK} Secret plans")
    chat_is_kept(alice.page)
    alice.field.fill("a secret thought")
    attach(alice, text_file("secret.txt"))
    is_kept(alice.page, "a secret thought", "Secret plans", "secret.txt")
    alice.page.locator(".account-name").click()
    with alice.page.expect_response("**/account/logout/") as signed_out:
        alice.page.get_by_role("button", name="Sign out").click()
    assert signed_out.value.all_headers().get("clear-site-data") == '"cache", "storage"'
    expect(alice.page.get_by_role("heading", level=1)).to_be_visible()
    kept = alice.page.evaluate(KEPT)
    assert "ecret" not in kept and "alice" not in kept
    bob = sign_in(alice.page, stack.url, bob_email)
    expect(bob.chats).to_have_count(0)
    shell_ready(bob.page)
    context.set_offline(True)
    bob.page.reload()
    expect(bob.field).to_be_visible()
    assert "ecret" not in bob.page.content() + bob.page.evaluate(KEPT)


def test_a_session_that_was_ended_leaves_nothing_in_the_browser(
    stack, person, new_context, push_service
):
    email, context = person("alice"), new_context()
    context.add_init_script(Browser(push_service).script)
    alice = sign_in(context.new_page(), stack.url, email)
    alice.ask(f"{QUICK} Secret plans")
    chat_is_kept(alice.page)
    run_code(stack, END_SESSIONS.format(email=email))
    expect(alice.page.get_by_text("You are signed out.")).to_be_visible()
    expect(alice.page.locator("html")).to_have_attribute("data-unsubscribed", "")
    alice.page.goto(stack.url)
    expect(alice.field).to_be_visible()
    assert "Secret" not in alice.page.evaluate(KEPT)


def test_what_waits_is_not_sent_when_its_writer_is_signed_out(
    stack, person, fake_model, new_context
):
    """The message is sent neither by a timer, nor when the network returns, nor as a new guest."""
    mark = str(uuid.uuid4())
    email = person("alice")
    alice = sign_in(new_context().new_page(), stack.url, email)
    alice.ask(f"{QUICK} Hello")
    alice.page.route("**/messages", lambda route: route.abort("internetdisconnected"))
    with alice.page.expect_request("**/messages"):
        alice.field.fill(f"{QUICK} Secret plans {mark}")
        alice.field.press("Enter")
    count = run_code(stack, END_SESSIONS.format(email=email) + COUNT_PEOPLE)
    expect(alice.page.get_by_text("You are signed out.")).to_be_visible()
    expect(alice.page.get_by_text(mark)).to_have_count(0)
    asked = []
    alice.page.on("request", lambda request: asked.append(request.url))
    alice.page.unroute("**/messages")
    alice.page.evaluate("dispatchEvent(new Event('online'))")
    alice.page.wait_for_timeout(3_000)
    assert not [url for url in asked if url.endswith("/messages")]
    assert run_code(stack, COUNT_PEOPLE) == count
    assert prompts_of(fake_model, mark) == []


ERASED_LATE = """async () => {
  const { LocalDatabase } = await import("/static/js/chat/local/database.js");
  const open = async (owner) => {
    const database = new LocalDatabase();
    await database.claim(owner);
    const put = (store) => void store("outbox").put({ id: owner });
    await database.run(["outbox"], "readwrite", put);
    return database;
  };
  const value = (request) =>
    new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
  const kept = (database) =>
    database.run(["outbox"], "readonly", (store) => value(store("outbox").getAllKeys()));
  const alice = await open("alice");
  const bob = await open("bob");
  await alice.erase();
  const afterAlice = await kept(bob);
  await bob.erase();
  const late = new LocalDatabase();
  const owner = await late.claim();
  return { afterAlice, byAlice: await kept(alice), owner, left: await kept(late) };
}"""


def test_who_signs_out_late_erases_nothing_of_somebody_else(alice):
    alice.page.goto(f"{alice.url}/account/login/")
    found = alice.page.evaluate(ERASED_LATE)
    assert found["afterAlice"] == ["bob"]
    assert found.get("byAlice") is None
    assert found["owner"] == "visitor" and not found.get("left")


def test_somebody_else_finds_nothing_where_nobody_signed_out(stack, person, new_context):
    """The cookie was deleted by hand, so no sign-out erased the stored data."""
    email = person("bob")
    context = new_context()
    alice = ChatPage(context.new_page(), stack.url).visit()
    alice.ask(f"{QUICK} Secret plans")
    chat_is_kept(alice.page)
    alice.page.goto("about:blank")
    context.clear_cookies()
    bob = sign_in(alice.page, stack.url, email)
    is_kept(bob.page, email)
    assert "Secret" not in bob.page.evaluate(KEPT)


def test_after_a_deploy_the_app_is_the_new_one_online_and_offline(
    make_stack, fake_model, new_context, tmp_path, monkeypatch
):
    for name in COPIED:
        source = BASE_DIR / name
        if source.is_dir():
            # Includes the compiled modules, or each process would compile them all first.
            shutil.copytree(source, tmp_path / name)
        elif source.exists():
            shutil.copy(source, tmp_path / name)
    monkeypatch.setattr("tests.stack.MANAGE", str(tmp_path / "manage.py"))
    stack = make_stack(model_url=fake_model.base_url, workers=1).start()
    context = new_context()
    alice = ChatPage(context.new_page(), stack.url).visit()
    alice.ask(f"{QUICK} Hello")
    chat_is_kept(alice.page)
    stack.stop()
    words = tmp_path / "static" / "js" / "chat" / "text.js"
    words.write_text(words.read_text().replace("Write a message", "Write with version B"))
    alice.page.reload()  # the server is stopped, so this is the shell of version A
    expect(alice.field).to_have_attribute("placeholder", "Write a message")
    [before] = alice.page.evaluate("caches.keys()")
    stack.start()
    # Another page loads version B. The page of version A learns when B has taken over. A page of B
    # may load after that and would then learn of nothing.
    other = ChatPage(context.new_page(), stack.url).visit()
    expect(other.field).to_have_attribute("placeholder", "Write with version B")
    told = alice.page.get_by_text("A new version of Holdfast is here.")
    expect(told).to_be_visible(timeout=30_000)
    alice.page.wait_for_function(
        "(before) => caches.keys().then((names) => names.length === 1 && names[0] !== before)",
        arg=before,
    )
    other.page.close()
    alice.page.reload()
    expect(alice.field).to_have_attribute("placeholder", "Write with version B")
    context.set_offline(True)
    alice.page.reload()
    expect(alice.field).to_have_attribute("placeholder", "Write with version B")
    expect(alice.questions.locator(".bubble")).to_have_text(f"{QUICK} Hello")
    kept = alice.page.evaluate(
        """async () => {
          const found = [];
          for (const name of await caches.keys())
            for (const { url } of await (await caches.open(name)).keys()) found.push(url);
          return found;
        }"""
    )
    paths = {url.removeprefix(stack.url.rstrip("/")) for url in kept}
    assert "/shell" in paths
    assert all(path == "/shell" or path.startswith("/static/") for path in paths)
