"""The template tag for the URL of the scripts' translated texts."""

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.translation import get_language

register = template.Library()


@register.simple_tag
def script_texts() -> str:
    """The URL of the texts in the page's language; "" for English, which the scripts contain."""
    language = get_language() or settings.LANGUAGE_CODE
    return "" if language == settings.LANGUAGE_CODE else static(f"js/texts/{language}.json")
