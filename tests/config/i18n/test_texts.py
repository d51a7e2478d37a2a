"""Every text can be translated: catalogues are up to date, templates have no untagged words, and
pages in the pseudo-language show no other words."""

import json
import re
import shutil
import uuid
from http import HTTPStatus

import pytest
from allauth.account.models import EmailAddress
from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.functional import Promise

from accounts import errors
from accounts.mail import html_of, send
from accounts.models import Preferences, ProviderKey, SecurityEvent, User
from accounts.preferences.store import change
from accounts.suspension import suspend
from billing import ledger
from billing.models import AuditRun
from chat.models import Chat
from chat.web.error_pages import body_too_large
from config.i18n import languages, model_names, texts
from config.i18n.script_texts import UnreadableTextsError, texts_of
from tests.accounts.people import PASSWORD
from tests.chat.conftest import close_loop
from tests.chat.websocket.socket_client import Socket
from tests.config.i18n import pseudo
from tests.config.i18n.pseudo import LANGUAGE, english_of
from tests.url_conf import routes

TEMPLATES = texts.BASE_DIR / "templates"
# Not texts: names, addresses, ids.
NAMES = (
    "Holdfast|CSV|UTC|USD|OpenAI|Anthropic|Google|Gemini|Mistral|Groq|DeepSeek|OpenRouter|Together"
    "|Fireworks|Perplexity|xAI|Cohere|Cerebras|English|testserver|localhost|Chrome|Linux"
)
# In the admin: names of groups and permissions, which are rows, and English texts of libraries.
OF_ADMIN = re.compile(
    r"\b(?:Finance|Support|Can [\w, -]+|Search|True|False|None|user session|[Aa]uthenticators?)\b"
)
DATA = re.compile(
    rf"(?<!\w)(?:{NAMES}|[\w.+-]+@[\w.-]+|https?://[^\s⟦⟧]+|[a-f0-9-]{{32,36}}|user:\S+)(?!\w)"
)


def untranslated(html):
    return [line for line in english_of(html) if pseudo.WORD.search(DATA.sub(" ", line))]


def test_the_catalogues_are_what_the_code_says():
    call_command("texts", "--check")


def test_a_stale_catalogue_is_noticed(tmp_path, monkeypatch):
    shutil.copytree(texts.LOCALE, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(texts, "LOCALE", tmp_path)
    call_command("texts", "--check")
    path = texts.paths(tmp_path, "en")["django"]
    path.write_text(path.read_text().replace("Sign in", "Log in"))
    with pytest.raises(CommandError, match="texts"):
        call_command("texts", "--check")


TAG = re.compile(r"{%.*?%}|{{.*?}}|{#.*?#}", re.S)
TRANSLATED = re.compile(r"{% blocktranslate\b.*?{% endblocktranslate %}", re.S)


def bare_words(source):
    """The words of a template that no tag translates."""
    source = TRANSLATED.sub("", source)
    source = re.sub(r'{% translate "[^"]*" %}', "", source)
    return untranslated(TAG.sub("", source))


@pytest.mark.parametrize(
    "path",
    sorted(TEMPLATES.rglob("*.*")),
    ids=lambda path: path.relative_to(TEMPLATES).as_posix(),
)
def test_templates_say_nothing_that_is_not_translated(path):
    assert bare_words(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "<p>Hello there</p>",
        '<a title="Hello">{{ name }}</a>',
        '<input type="submit" value="Send">',
        '<p>{% translate "Hello" %} there</p>',
        '{% if x %}<img alt="A picture">{% endif %}',
    ],
)
def test_bare_words_are_found(source):
    assert bare_words(source)


# Whole pages in the pseudo-language


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pseudo")
    pseudo.write(folder / "locale", folder / "texts")
    return folder


@pytest.fixture
def bracketed(compiled, settings):
    settings.LOCALE_PATHS = [compiled / "locale"]
    settings.LANGUAGES = languages.available(*settings.LOCALE_PATHS)
    settings.LANGUAGES_BIDI = [*settings.LANGUAGES_BIDI, LANGUAGE]
    return settings


def client_of(user=None):
    client = Client(headers={"accept-language": LANGUAGE})
    if user and user.is_guest:
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    elif user:  # Sign in with the form, so that pages that need a recent sign-in are shown.
        answer = client.post("/account/login/", {"login": user.email, "password": PASSWORD})
        assert answer.status_code == HTTPStatus.FOUND
    return client


@pytest.fixture
def people(transactional_db, redis_url):
    alice = User.objects.create_user("alice@example.org", PASSWORD)
    guest = User.objects.create(is_guest=True, password="!")
    operator = User.objects.create_superuser("operator@example.org", PASSWORD)
    EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
    now = timezone.now()
    for kind in SecurityEvent.Kind.values:
        SecurityEvent.objects.create(person=alice, kind=kind)
    for number, status in enumerate(ProviderKey.Status.values):
        ProviderKey.objects.create(
            owner=alice,
            provider="custom",
            base_url=f"https://{number}.example.org/v1",
            label=f"{number}",
            status=status,
            checked_at=now,
            model_list_read_at=now,
            key_version=1,
            ciphertext=b"",
            nonce=b"",
        )
    Chat.objects.create(id=uuid.uuid4(), owner=alice, updated_at=now)
    for kind in ("signup_credit", "guest_budget", "free_credit"):
        ledger.post(alice.id, kind, 2_000_000, key=f"user:{kind}")
    AuditRun.objects.create(started_at=now, finished_at=now, checked={}, differences=["1", "2"])
    return {"nobody": None, "guest": guest, "alice": alice, "operator": operator}


NOT_PAGES = (
    "/api/",
    "/csp-reports",
    "/healthz",
    "/readyz",
    "/admin/jsi18n",
    "/service-worker",
    "/manifest",
)


def pages_of(who):
    for name, path, has_arguments in routes():
        is_shown = not name.startswith("admin:") or who == "operator"
        if is_shown and not has_arguments and not path.startswith(NOT_PAGES):
            yield path


@pytest.mark.parametrize("who", ["nobody", "guest", "alice", "operator"])
def test_no_page_shows_a_word_that_is_not_translated(bracketed, people, who):
    client = client_of(people[who])
    seen, bad = 0, {}
    for path in [
        *pages_of(who),
        "/nowhere",
        "/settings/keys?add=custom",
        "/settings/keys?add=openai",
    ]:
        answer = client.get(path)
        if not answer.get("Content-Type", "").startswith("text/html") or not answer.content:
            continue
        seen += 1
        html = answer.content.decode()
        assert f'<html lang="{LANGUAGE}" dir="rtl"' in html, path
        if left := untranslated(OF_ADMIN.sub("", html) if path.startswith("/admin/") else html):
            bad[path] = left
    assert bad == {}
    assert seen > 8


def test_the_admin_names_models_and_fields_in_the_language_of_the_reader(bracketed, people):
    client, names, bad = client_of(people["operator"]), set(), {}
    for model in admin.site._registry:
        if model._meta.app_label not in model_names.APPS or not model._meta.managed:
            continue
        if (row := model._default_manager.first()) is None:
            continue
        names.add(model.__name__)
        url = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_change", args=[row.pk])
        answer = client.get(url)
        assert answer.status_code == HTTPStatus.OK, url
        html = OF_ADMIN.sub("", answer.content.decode())
        if left := untranslated(html):
            bad[url] = left
    assert bad == {}
    assert names >= {"User", "SecurityEvent", "Chat", "Purse", "LedgerEntry", "AuditRun"}


def test_names_of_models_are_no_part_of_the_schema(db):
    with translation.override(LANGUAGE):
        call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    assert Chat._meta.verbose_name_raw == "chat"  # Permissions are named after models.


def test_every_choice_can_be_translated():
    plain = {
        f"{model.__name__}.{field.name}: {said}"
        for app in model_names.APPS
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.local_fields
        for _value, said in field.choices or ()
        if not isinstance(said, Promise)
    }
    assert plain == set()


# Mails and messages

SAID_IN_MAILS = {
    "current_site": {"domain": "testserver"},
    "email": "a@b.org",
    "from_email": "a@b.org",
    "to_email": "b@b.org",
    "deleted_email": "c@b.org",
    "code": "123456",
    "ip": "::1",
    "user_agent": "1",
    "url": "https://testserver/1",
    "activate_url": "https://testserver/2",
    "password_reset_url": "https://testserver/3",
    "signup_url": "https://testserver/4",
    "address": "https://testserver/5",
    "provider": "Google",
    "days": 7,
    "recipient": "a@b.org",
    "top_up": {"credit_cents": 500, "total_cents": 550, "id": "1", "livemode": False},
    "lines": [],
}
MAILS = sorted(TEMPLATES.rglob("email/*.txt")) + sorted(TEMPLATES.rglob("messages/*.txt"))


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.relative_to(TEMPLATES).as_posix())
@pytest.mark.parametrize("more", [{}, {"code": ""}], ids=["", "without a code"])
def test_no_mail_says_a_word_that_is_not_translated(bracketed, path, more):
    now = timezone.now()
    person = {"email": "a@b.org", "deletion_due_at": now}
    top_up = SAID_IN_MAILS["top_up"] | {"paid_at": now}
    values = SAID_IN_MAILS | {"timestamp": now, "person": person, "top_up": top_up} | more
    with translation.override(LANGUAGE):
        text = render_to_string(path.relative_to(TEMPLATES).as_posix(), values)
        html = html_of("", text) if text.strip() else ""
    assert untranslated(text) == [] and untranslated(html) == []
    assert "⟦" in text or not text.strip()


def test_a_mail_is_in_the_language_of_the_person_it_goes_to(bracketed, people, mailoutbox):
    Preferences.objects.create(person=people["alice"], language=LANGUAGE)
    send(people["alice"], "account/email/deletion_cancelled")
    send(people["operator"], "account/email/deletion_cancelled")
    translated, english = mailoutbox
    assert translated.subject.startswith("⟦") and f'lang="{LANGUAGE}" dir="rtl"' in str(
        translated.alternatives[0]
    )
    assert english.subject == "Your account stays"


# Texts of Python


def test_refusals_are_in_the_language_of_the_request(bracketed, redis_url, transactional_db):
    for language, said in ((LANGUAGE, "⟦"), ("en", "Sign in, or")):
        answer = Client(headers={"accept-language": language}).get("/api/chats")
        assert answer.status_code == HTTPStatus.UNAUTHORIZED
        assert answer.json()["error"]["message"].startswith(said)


async def refusal_of(socket):
    """The message on a socket that follows a chat that does not exist."""
    async with socket:
        await socket.until_type("welcome")
        await socket.say(type="follow", chat=str(uuid.uuid4()), after=None)
        return (await socket.until_type("error"))["message"]


async def test_a_socket_refuses_in_the_language_of_the_person(bracketed, people, redis_url):
    client = await sync_to_async(client_of)(people["alice"])
    cookies = client.cookies.output(header="", sep=";").strip()

    def socket(language):
        return Socket(cookies=cookies, language=language)

    english, translated = "This chat does not exist", "⟦This chat does not exist"
    assert (await refusal_of(socket("en"))).startswith(english)
    assert (await refusal_of(socket(LANGUAGE))).startswith(translated)
    async with socket("en") as changing:
        await changing.until_type("welcome")
        await sync_to_async(change)(people["alice"], {"language": LANGUAGE})
        await changing.until_type("user")
        await changing.say(type="follow", chat=str(uuid.uuid4()), after=None)
        assert (await changing.until_type("error"))["message"].startswith(translated)

    bracketed.LIMIT_SOCKETS_PER_MINUTE_USER = 1
    async with socket("en") as allowed, socket("en") as refused:
        await allowed.until_type("welcome")
        assert (await refused.until_type("error"))["message"].startswith("⟦That was too often")
    bracketed.LIMIT_SOCKETS_PER_MINUTE_USER = 0
    async with socket("en") as suspended:
        await suspended.until_type("welcome")
        await sync_to_async(suspend)(people["alice"], people["operator"], "Spam")
        assert (await suspended.until_type("error"))["message"].startswith("⟦This account is")
    await close_loop()


def test_a_body_that_is_too_large_is_refused_in_the_language_of_the_browser(bracketed):
    for path in ("/api/chats", "/account/login/"):
        request = RequestFactory(headers={"accept-language": LANGUAGE}).get(path)
        answer = body_too_large(request)
        assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        said = answer.content.decode()
        said = json.loads(said)["error"]["message"] if path.startswith("/api/") else said
        assert "⟦" in said and untranslated(said) == []


def test_numbers_are_told_by_the_forms_of_the_language(bracketed):
    assert errors.duration_text(1) == "1 second" and errors.duration_text(3_700) == "2 hours"
    with translation.override(LANGUAGE):
        assert errors.duration_text(61) == "⟦2 minutes⟧"


def test_what_is_recorded_is_in_one_language(bracketed, people):
    client = client_of(people["alice"])
    other = client_of(people["alice"])
    assert other.get("/settings").status_code == HTTPStatus.OK
    client.get("/settings/sessions")
    client.post("/settings/sessions", {"others": "1"})
    notes = SecurityEvent.objects.filter(kind="session_revoked").exclude(note="")
    assert [event.note for event in notes] == ["All other sessions"]


# New languages


def test_a_language_is_offered_once_its_catalogue_is_compiled(compiled, tmp_path):
    assert languages.available(texts.LOCALE) == [("en", "English")]
    assert languages.available(compiled / "locale") == [("en", "English"), (LANGUAGE, LANGUAGE)]
    texts.update(tmp_path, "de")
    assert languages.available(tmp_path) == [("en", "English")]
    texts.compile_language(tmp_path, tmp_path / "texts", "de")
    assert languages.available(tmp_path) == [("en", "English"), ("de", "Deutsch")]


def test_a_changed_text_is_not_told_by_its_old_translation(tmp_path):
    texts.update(tmp_path, "de")
    path = texts.paths(tmp_path, "de")["djangojs"]
    entry = 'msgctxt "chat.rename"\nmsgid "Rename"\nmsgstr "%s"'
    assert entry % "" in path.read_text()
    path.write_text(path.read_text().replace(entry % "", entry % "Umbenennen"))
    texts.compile_language(tmp_path, tmp_path, "de")
    assert json.loads((tmp_path / "de.json").read_text()) == {"chat": {"rename": "Umbenennen"}}
    path.write_text(path.read_text().replace('msgid "Rename"', 'msgid "Call it"'))
    texts.update(tmp_path, "de")
    texts.compile_language(tmp_path, tmp_path, "de")
    assert json.loads((tmp_path / "de.json").read_text()) == {}


@pytest.mark.parametrize(
    ("domain", "entry", "wrong"),
    [
        ("djangojs", 'msgid "“{title}” was deleted."\nmsgstr "', "{titel} weg."),
        ("django", 'msgid "A mail is on its way to %(email)s."\nmsgstr "', "Post an %(mail)s."),
    ],
)
def test_a_translation_that_does_not_fit_is_refused(tmp_path, domain, entry, wrong):
    texts.update(tmp_path, "de")
    path = texts.paths(tmp_path, "de")[domain]
    assert entry in path.read_text()
    path.write_text(path.read_text().replace(entry, entry + wrong))
    with pytest.raises(texts.BrokenTextsError):
        texts.compile_language(tmp_path, tmp_path / "texts", "de")


def test_scripts_have_the_plurals_of_the_language(compiled):
    told = json.loads((compiled / "texts" / f"{LANGUAGE}.json").read_text())
    assert set(told["chat"]["resultCount"]) == {"one", "two", "few", "many", "other"}
    assert told["chat"]["examples"]["0"] == "⟦Plan a weekend in Lisbon⟧"


def test_what_is_no_text_between_the_brackets_of_spoken_is_refused():
    assert [text.context for text in texts_of("x.js", 'spoken("a", { b: "c", d: ["e"] })')] == [
        "a.b",
        "a.d.0",
    ]
    for code in ('spoken("a", { b: 1 })', 'spoken("a", { b: `c` })', 'spoken("a", { ...b })'):
        with pytest.raises(UnreadableTextsError):
            list(texts_of("x.js", code))


def test_a_page_names_the_texts_of_its_scripts(bracketed, people):
    html = client_of().get("/").content.decode()
    assert f'data-texts="/static/js/texts/{LANGUAGE}.json"' in html
    assert f'as="fetch" crossorigin href="/static/js/texts/{LANGUAGE}.json"' in html
    shell = client_of().get("/shell").content.decode()
    worker = client_of().get("/service-worker.js").content.decode()
    assert f"texts/{LANGUAGE}.json" in shell and f"texts/{LANGUAGE}.json" in worker
    english = Client().get("/").content.decode()
    assert "data-texts" not in english and "/js/texts/" not in english
    assert "/js/texts/" not in Client().get("/service-worker.js").content.decode()


def test_a_page_in_english_is_found_to_be_untranslated(people):
    for path in ("/account/login/", "/account/signup/", "/nowhere"):
        assert len(untranslated(Client().get(path).content.decode())) > 2
