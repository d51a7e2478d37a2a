"""Fields of allauth's forms in our look and our words: they know nothing of either."""

from django import template
from django.forms import BoundField
from django.forms.widgets import Input, Select, Textarea
from django.utils.safestring import SafeString

from accounts.devices import device_name as device_name_of
from accounts.sign_in import allauth_messages

register = template.Library()
register.filter("device_name", device_name_of)


@register.simple_tag
def styled(field: BoundField) -> SafeString:
    """The field itself, tied to what is said of it."""
    attrs: dict[str, str | bool] = (
        {"class": "field"} if isinstance(field.field.widget, Input | Select | Textarea) else {}
    )
    said = [f"{field.auto_id}-errors"] if field.errors else []
    said += [f"{field.auto_id}_helptext"] if help_of(field) else []
    if said:
        attrs["aria-describedby"] = " ".join(said)
    if field.errors:
        attrs["aria-invalid"] = "true"
    if field.html_name == "code":
        attrs |= {"inputmode": "numeric", "autocomplete": "one-time-code"}
    # The label says it; a placeholder besides would only be in the way.
    field.field.widget.attrs.pop("placeholder", None)
    return field.as_widget(attrs=attrs)


@register.filter
def label_of(field: BoundField) -> str:
    return str(allauth_messages.LABELS.get(_name(field)) or field.label)


@register.filter
def help_of(field: BoundField) -> str:
    """HTML where the form gives it."""
    return str(allauth_messages.HELP.get(_name(field)) or field.help_text)


def _name(field: BoundField) -> tuple[str, str]:
    return type(field.form).__name__, field.name
