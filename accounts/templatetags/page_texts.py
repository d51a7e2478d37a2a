"""Where the scripts of a page find their sentences, unless they are those in the scripts."""

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.translation import get_language

register = template.Library()


@register.simple_tag
def script_texts() -> str:
    """The address of the file for the page's language; "" for English, which needs none."""
    language = get_language() or settings.LANGUAGE_CODE
    return "" if language == settings.LANGUAGE_CODE else static(f"js/texts/{language}.json")
