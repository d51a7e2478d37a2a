"""Keys, ids and URLs that cannot be sent are refused at the start, without showing their value."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from environs import Env

from config.env import email_settings
from config.env_headers import env_key, env_line, env_secret_line, env_url

WRONG_KEYS = [
    "sk-abc\u2026def",
    "sk-abc\ndef",
    "sk-abc\r\nX-Evil: 1",
    "sk-abc def",
    "sk-abc\tdef",
    "sk-abc\x00def",
    "sk-abc\x7fdef",
    "sk-abc\u00a0def",
    "sk-abc\u200bdef",
    "sk-abc\u2010def",
    "sk-\u0430bc",
    "\uff53k-abc",
    "sk-\u00e9",
]


@pytest.fixture
def env():
    return Env()


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Sets NAME by a file, because an environment variable cannot contain a null character."""

    def give(value, name="SOME_KEY"):
        monkeypatch.delenv(name, raising=False)
        path = tmp_path / "secret"
        path.write_text(value, encoding="utf-8", newline="")
        monkeypatch.setenv(name + "_FILE", str(path))

    return give


@pytest.mark.parametrize("key", WRONG_KEYS)
def test_a_key_that_cannot_be_sent_is_refused_without_being_quoted(env, given, key):
    given(key)
    with pytest.raises(ImproperlyConfigured) as caught:
        env_key(env, "SOME_KEY")
    said = str(caught.value)
    assert said.startswith("SOME_KEY has ") and "Copy it again" in said and "(config.E020)" in said
    assert "abc" not in said and said.isascii() and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "around", ["{}\n", " {} ", "\ufeff{}\r\n\r\n", "\u00a0{}\t", "\u200b{}", "{}", "\n\n{}\n"]
)
def test_white_space_around_a_key_is_taken_off(env, given, around):
    given(around.format("sk-abc"))
    assert env_key(env, "SOME_KEY") == env_secret_line(env, "SOME_KEY") == "sk-abc"


def test_nothing_but_white_space_is_no_key(env, given):
    given(" \n")
    assert env_key(env, "SOME_KEY") == ""


def test_ids_and_secrets_of_oauth_may_have_spaces_inside(env, given, monkeypatch):
    given("a secret\n")
    assert env_secret_line(env, "SOME_KEY") == "a secret"
    monkeypatch.setenv("SOME_ID", " org-1 ")
    assert env_line(env, "SOME_ID") == "org-1"
    for wrong in ("org-\u2026", "org\n1", "org\x1b1"):
        monkeypatch.setenv("SOME_ID", wrong)
        with pytest.raises(ImproperlyConfigured, match="SOME_ID has"):
            env_line(env, "SOME_ID")


@pytest.mark.parametrize(
    ("written", "url"),
    [
        (" https://llm.example.org/v1/ ", "https://llm.example.org/v1"),
        ("http://127.0.0.1:8080/v1\n", "http://127.0.0.1:8080/v1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("", "https://else.example.org"),
    ],
)
def test_addresses_are_taken_in_one_form(env, monkeypatch, written, url):
    monkeypatch.setenv("SOME_URL", written)
    assert env_url(env, "SOME_URL", "https://else.example.org") == url


@pytest.mark.parametrize(
    "url",
    ["llm.example.org/v1", "ftp://llm.example.org", "https://", "https://llm.example.org /v1",
     "https://llm.example.org/v1\nx", "https://llm.ex\u00e4mple.org/v1", "https://a.org/v\u20261",
     "https://llm.example.org/v1?key=x", "https://llm.example.org:none/v1",
     "https://llm.example.org/v1#x", "https://a.org/<v1>"],
)  # fmt: skip
def test_what_is_no_address_is_refused(env, monkeypatch, url):
    monkeypatch.setenv("SOME_URL", url)
    with pytest.raises(ImproperlyConfigured, match=r"SOME_URL must be an address .*config.E020"):
        env_url(env, "SOME_URL")


@pytest.mark.parametrize("password", ["p%E2%80%A6ss", "p%0Ass", "p%00ss", "p\u00e4ss"])
def test_a_mail_password_that_cannot_be_sent_is_refused(password):
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL has a user or password") as caught:
        email_settings(f"smtp+tls://me:{password}@mail.example.org")
    assert "ss@" not in str(caught.value)
    assert email_settings("smtp://me:a%20b%20c@h")["EMAIL_HOST_PASSWORD"] == "a b c"
