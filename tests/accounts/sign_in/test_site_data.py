"""Signing out tells the browser to delete the site's data; no other response does."""

import pytest

from accounts.models import User

pytestmark = pytest.mark.django_db


def test_signing_out_clears_what_the_browser_keeps(client, redis_url):
    client.force_login(User.objects.create_user("alice@example.org", "x"))
    assert "Clear-Site-Data" not in client.get("/settings").headers
    answer = client.post("/account/logout/")
    assert answer["Clear-Site-Data"] == '"cache", "storage"'
    assert "Clear-Site-Data" not in client.get("/account/login/").headers
    assert "Clear-Site-Data" not in client.post("/account/logout/").headers
