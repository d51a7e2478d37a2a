"""HOLDFAST_URL and ALLOWED_HOSTS, as people write them and as browsers send them."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.public_url import allowed_hosts, public_url


@pytest.mark.parametrize(
    ("value", "origin", "host"),
    [
        ("https://chat.example.org", "https://chat.example.org", "chat.example.org"),
        (" https://chat.example.org/ \n", "https://chat.example.org", "chat.example.org"),
        ("https://chat.example.org//", "https://chat.example.org", "chat.example.org"),
        ("HTTPS://Chat.Example.ORG.", "https://chat.example.org", "chat.example.org"),
        ("https://chat.example.org:443", "https://chat.example.org", "chat.example.org"),
        ("http://chat.example.org:80/", "http://chat.example.org", "chat.example.org"),
        ("https://chat.example.org:8443", "https://chat.example.org:8443", "chat.example.org"),
        ("http://192.168.1.20:8000", "http://192.168.1.20:8000", "192.168.1.20"),
        ("http://[FD00:0::1]:8000", "http://[fd00::1]:8000", "[fd00::1]"),
        ("http://nas_2:8000", "http://nas_2:8000", "nas_2"),
        ("https://bücher.example", "https://xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("https://例え.テスト", "https://xn--r8jz45g.xn--zckzah", "xn--r8jz45g.xn--zckzah"),
        ("", "", ""),
        ("  ", "", ""),
    ],
)
def test_an_address_becomes_what_browsers_send(value, origin, host):
    url = public_url(value)
    assert (url.origin, url.host) == (origin, host)


@pytest.mark.parametrize(
    "value",
    [
        "https://example.org/chat",
        "https://example.org/chat/",
        "https://example.org//chat",
        "https://EXAMPLE.org:443/chat?a=b#c",
        "https://example.org?a=b",
        "https://example.org/#c",
        "https://example.org/?",
        "https://example.org#",
    ],
)
def test_more_than_a_host_is_refused_with_what_to_write(value):
    with pytest.raises(ImproperlyConfigured) as refused:
        public_url(value)
    assert "set HOLDFAST_URL=https://example.org, " in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        "chat.example.org",
        "ftp://x",
        "https://",
        "https:///chat",
        "//chat.example.org",
        "https:\\\\chat.example.org",
        "https://a b",
        "https://a,https://b",
        "https://*.example.org",
        "https://-a.example",
        "https://a..example",
        "https://" + "a" * 64 + ".example",
        "https://a.example:0",
        "https://a.example:99999",
        "https://a.example:x",
        "https://[fd00::1",
        "https://[fe80::1%25eth0]",
        "https://straße.example",
        "https://a\x00b",
        "None",
    ],
)
def test_what_no_browser_could_open_is_refused(value):
    with pytest.raises(ImproperlyConfigured, match="HOLDFAST_URL must look like") as refused:
        public_url(value)
    assert "\n" not in str(refused.value)


def test_a_name_without_scheme_gets_a_hint():
    with pytest.raises(ImproperlyConfigured, match=r"Did you mean https://chat.example.org\?"):
        public_url("chat.example.org")


@pytest.mark.parametrize(
    "value", ["https://u:hush@example.org", "u:hush@example.org", "https://hush@"]
)
def test_a_password_is_not_repeated(value):
    with pytest.raises(ImproperlyConfigured) as refused:
        public_url(value)
    assert "hush" not in str(refused.value)


def test_hosts_are_taken_as_they_are_copied_from_the_browser():
    written = [
        " 192.168.1.20",
        "http://nas.lan:8000/c/1",
        "nas.lan:8000",
        "[FD00::1]:80",
        "fd00::2",
    ]
    assert allowed_hosts(written) == [
        "192.168.1.20",
        "nas.lan",
        "nas.lan",
        "[fd00::1]",
        "[fd00::2]",
    ]
    assert allowed_hosts([".example.org", "*.Example.org", "*", "", " "]) == [
        ".example.org",
        ".example.org",
        "*",
    ]
    assert allowed_hosts(["bücher.example"]) == ["xn--bcher-kva.example"]


@pytest.mark.parametrize("value", ["a b", "-x", "https://", "a_b..c", "us@er"])
def test_a_host_that_is_none_is_refused(value):
    with pytest.raises(ImproperlyConfigured, match="ALLOWED_HOSTS"):
        allowed_hosts([value])
