"""The template tag for today's figures on the first page of the admin."""

from typing import Any

from django import template

from accounts.admin import home

register = template.Library()


@register.simple_tag(takes_context=True)
def todays_figures(context: dict[str, Any]) -> list[home.Group]:
    return home.groups(context["request"])
