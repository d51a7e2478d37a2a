"""The client's address: the nearest address that does not belong to a trusted proxy."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from accounts.client_address import address_group, client_address, client_address_of_scope
from config.env import trusted_proxies

NETWORKS = trusted_proxies("10.0.0.0/8,fd00::/8")


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "expected"),
    [
        (None, "203.0.113.7", "", "203.0.113.7"),
        (None, "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        (1, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (2, "10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (3, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.1", "nonsense", "10.0.0.1"),
        (1, "10.0.0.1", "198.51.100.1, ", "10.0.0.1"),
        (1, "10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        (1, "10.0.0.1", "[2001:db8::7]:443", "2001:db8::7"),
        (1, "10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.1", "", "10.0.0.1"),
        (NETWORKS, "10.0.0.1", "6.6.6.6, 198.51.100.1, fd00::2", "198.51.100.1"),
        (NETWORKS, "198.51.100.9", "6.6.6.6", "198.51.100.9"),
        (NETWORKS, "10.0.0.1", "10.0.0.3", "10.0.0.3"),
        (1, "10.0.0.1", "6.6.6.6," * 10_000 + "198.51.100.1", "198.51.100.1"),
        (None, "", "", "unknown"),
    ],
)
def test_the_client_is_who_the_proxies_saw(settings, proxies, peer, forwarded, expected):
    settings.TRUST_PROXY = proxies is not None
    settings.TRUSTED_PROXIES = proxies or 1
    meta = {"REMOTE_ADDR": peer} | ({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {})
    assert client_address(RequestFactory().get("/", **meta)) == expected
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope = {"client": (peer, 1) if peer else None, "headers": headers}
    assert client_address_of_scope(scope) == expected


def test_several_header_lines_are_one_list(settings):
    settings.TRUST_PROXY, settings.TRUSTED_PROXIES = True, 1
    headers = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"198.51.100.1")]
    assert client_address_of_scope({"client": ("10.0.0.1", 1), "headers": headers}) == (
        "198.51.100.1"
    )


def test_an_ipv6_customer_is_one_group():
    assert address_group("2001:db8:1:2:aaaa::1") == address_group("2001:db8:1:2:bbbb::2")
    assert address_group("2001:db8:1:2::1") != address_group("2001:db8:1:3::1")
    assert address_group("198.51.100.1") == "198.51.100.1"
    assert address_group("unknown") == "unknown"


def test_a_proxy_must_be_a_number_or_a_network():
    with pytest.raises(ImproperlyConfigured, match="HOLDFAST_TRUSTED_PROXIES"):
        trusted_proxies("my-proxy")
