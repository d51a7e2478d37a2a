"""Whether a page offers passkeys."""

from typing import Any

from django import template

from accounts.sign_in import passkeys

register = template.Library()


@register.simple_tag(takes_context=True)
def passkeys_are_possible(context: dict[str, Any]) -> bool:
    return passkeys.are_possible(context["request"])
