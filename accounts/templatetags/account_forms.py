"""Fields of allauth's forms in our look: their widgets know nothing of our classes."""

from django import template
from django.forms import BoundField
from django.forms.widgets import Input, Select, Textarea
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def styled(field: BoundField) -> SafeString:
    """The field itself, tied to what is said of it."""
    attrs: dict[str, str | bool] = (
        {"class": "field"} if isinstance(field.field.widget, Input | Select | Textarea) else {}
    )
    if field.errors:
        attrs |= {"aria-invalid": "true", "aria-describedby": f"{field.auto_id}-errors"}
    elif field.help_text:
        attrs["aria-describedby"] = f"{field.auto_id}_helptext"
    if field.html_name == "code":
        attrs |= {"inputmode": "numeric", "autocomplete": "one-time-code"}
    # The label says it; a placeholder besides would only be in the way.
    field.field.widget.attrs.pop("placeholder", None)
    return field.as_widget(attrs=attrs)
