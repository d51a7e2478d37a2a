"""The navigation of the settings: one list, shown as a column or behind a button."""

from dataclasses import dataclass, replace
from typing import Any

from django import template
from django.urls import reverse
from django.utils.translation import gettext as _

register = template.Library()


@dataclass(frozen=True, slots=True)
class Place:
    """A link. `under` is the path prefix of further pages that belong to it, if there are any."""

    name: str
    url: str
    under: str = ""
    is_current: bool = False

    def seen_from(self, path: str) -> "Place":
        is_current = path == self.url or bool(self.under and path.startswith(self.under))
        return replace(self, is_current=is_current)


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    places: list[Place]


@register.simple_tag(takes_context=True)
def settings_places(context: dict[str, Any], has_billing: bool) -> dict[str, Any]:
    """{"groups": the person's groups of places, "current": the name of the current place or ""}."""
    path = context["request"].path
    listed = (_guest_groups if context["user"].is_guest else _account_groups)(has_billing)
    if context["user"].is_staff:
        listed.append((_("This site"), [Place(_("Administration"), reverse("admin:index"))]))
    groups = [Group(name, [place.seen_from(path) for place in places]) for name, places in listed]
    current = [place.name for group in groups for place in group.places if place.is_current]
    return {"groups": groups, "current": current[0] if current else ""}


def _guest_groups(has_billing: bool) -> list[tuple[str, list[Place]]]:
    back = f"?next={reverse('accounts:settings')}"
    sign_up = Place(_("Sign up"), reverse("account_signup") + back)
    sign_in = Place(_("Sign in"), reverse("account_login") + back)
    return [
        (_("You"), [_preferences(), _prompts(), _files(), *_credit(has_billing), _data()]),
        (_("An account of your own"), [sign_up, sign_in]),
    ]


def _account_groups(has_billing: bool) -> list[tuple[str, list[Place]]]:
    return [
        (
            _("You"),
            [
                _preferences(),
                _prompts(),
                Place(_("Account"), reverse("accounts:account")),
                _files(),
                _data(),
            ],
        ),
        (
            _("Models and money"),
            [Place(_("Provider keys"), reverse("accounts:keys")), *_credit(has_billing)],
        ),
        (
            _("Signing in"),
            [
                Place(_("Email addresses"), reverse("account_email")),
                Place(
                    _("Password"), reverse("account_change_password"), under="/account/password/"
                ),
                Place(_("Second factor"), reverse("mfa_index"), under=reverse("mfa_index")),
                Place(_("Connected services"), reverse("socialaccount_connections")),
            ],
        ),
        (
            _("Safety"),
            [
                Place(_("Sessions"), reverse("accounts:sessions")),
                Place(_("Activity"), reverse("accounts:security-events")),
            ],
        ),
    ]


def _preferences() -> Place:
    return Place(_("Preferences"), reverse("accounts:settings"))


def _prompts() -> Place:
    url = reverse("accounts:prompts")
    return Place(_("Saved prompts"), url, under=url)


def _files() -> Place:
    """A page of the chat app, which is only known by the name of its route here."""
    url = reverse("chat:files-page")
    return Place(_("Files"), url, under=url)


def _data() -> Place:
    url = reverse("accounts:data")
    return Place(_("Your data"), url, under=url)


def _credit(has_billing: bool) -> list[Place]:
    """Links to a page of the billing app, which is only known by the name of its route here."""
    if not has_billing:
        return []
    url = reverse("billing:overview")
    return [Place(_("Credit and usage"), url, under=url)]
