"""POST to the routes of libraries, which tests/chat/web/test_access.py tries with GET: the forms of
accounts, and everything that the admin accepts."""

import contextlib

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import SESSION_KEY
from django.test import AsyncClient
from django.urls import NoReverseMatch, reverse

from accounts.models import User
from tests.chat.web.conftest import people
from tests.chat.web.roles import ROLES

__all__ = ["people"]
pytestmark = pytest.mark.django_db(transaction=True)
NEW = "another-Long-passphrase-9"


async def post(client, path, **fields):
    client.cookies["csrftoken"] = token = "a" * 32
    return await client.post(path, fields | {"csrfmiddlewaretoken": token})


async def who(client):
    return await (await client.asession()).aget(SESSION_KEY)


@pytest.mark.parametrize("role", ROLES)
async def test_signing_out_ends_only_the_own_session(people, role):
    before = {name: await who(client) for name, client in people.items()}
    assert (await post(people[role], reverse("account_logout"))).status_code == 302
    for name, client in people.items():
        # A guest cannot sign out, and would lose their chats. A suspended person has no session.
        ends = name == role and role not in ("guest", "suspended")
        assert await who(client) == (None if ends else before[name])


# Path, fields, and the statuses for (nobody, guest, other, suspended, staff, owner).
FORMS = [
    # The wrong password: the form is shown again.
    (
        "account_change_password",
        {"oldpassword": "guessed", "password1": NEW, "password2": NEW},
        (302, 302, 200, 302, 200, 200),
    ),
    ("account_set_password", {"password1": NEW, "password2": NEW}, (302,) * 6),
    # Redirected to reauthenticate.
    ("account_email", {"action_add": "", "email": "new@example.org"}, (302,) * 6),
    ("account_reauthenticate", {"password": "guessed"}, (302, 302, 200, 302, 200, 200)),
    ("mfa_activate_totp", {"code": "123456"}, (302,) * 6),
    ("mfa_deactivate_totp", {}, (302, 302, 404, 302, 404, 404)),
    ("mfa_generate_recovery_codes", {}, (302, 302, 302, 302, 302, 302)),
    ("socialaccount_connections", {"account": "1"}, (302, 302, 200, 302, 200, 200)),
]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("name", "fields", "statuses"), FORMS, ids=[form[0] for form in FORMS])
async def test_forms_are_for_permitted_roles_and_change_nobody_else(
    people, name, fields, statuses, role
):
    before = await sync_to_async(everybody)()
    answer = await post(people[role], reverse(name), **fields)
    assert answer.status_code == statuses[ROLES.index(role)], answer
    assert await sync_to_async(everybody)() == before


def everybody():
    return list(User.objects.order_by("id").values_list("id", "password", "email", "is_staff"))


# The admin


def rows():
    """The number of rows of each model, except sessions."""
    return {
        model._meta.label: model._default_manager.count()
        for model in apps.get_models()
        if model._meta.managed and "session" not in model._meta.label.lower()
    }


def posts():
    """(path, fields) of each admin form, for each model and each of its rows."""
    for model, model_admin in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        managed = model._meta.managed  # A log's list has no table behind it.
        found = model._default_manager.values_list("pk", flat=True)[:2] if managed else [1]
        keys = [str(key) for key in found]
        yield f"{name}_add", (), {"name": "x", "email": "x@example.org"}
        actions = [getattr(action, "__name__", action) for action in model_admin.actions or ()]
        for action in ("delete_selected", *actions):
            fields = {"action": action, "_selected_action": keys, "post": "yes"}
            yield f"{name}_changelist", (), fields
        for key in keys:
            yield f"{name}_change", (key,), {"is_staff": "on", "is_superuser": "on"}
            yield f"{name}_delete", (key,), {"post": "yes"}


def addresses():
    for name, key, fields in posts():
        with contextlib.suppress(NoReverseMatch):  # Not every model has every page.
            yield reverse(name, args=key), fields


@pytest.mark.parametrize("role", [*(r for r in ROLES if r != "staff"), "clerk"])
async def test_the_admin_changes_nothing_without_permission(people, role):
    """A clerk is staff without any permission."""
    if role == "clerk":
        clerk = await sync_to_async(User.objects.create_user)(
            "clerk@example.org", "x", is_staff=True
        )
        people["clerk"] = AsyncClient(enforce_csrf_checks=True)
        await people["clerk"].aforce_login(clerk)
    before, was = await sync_to_async(rows)(), await sync_to_async(everybody)()
    tried = await sync_to_async(lambda: list(addresses()))()
    assert len(tried) > 30
    for path, fields in tried:
        answer = await post(people[role], path, **fields)
        refused = (403, 404) if role == "clerk" else (302,)
        assert answer.status_code in refused, (path, answer)
        if answer.status_code == 302:
            assert answer["Location"].startswith(("/admin/login/", "/account/", "/"))
    assert await sync_to_async(rows)() == before
    assert await sync_to_async(everybody)() == was
