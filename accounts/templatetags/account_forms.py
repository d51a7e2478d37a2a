"""Renders fields of allauth's forms with our styles and texts."""

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
    """The widget, with ARIA references to its errors and help text."""
    attrs: dict[str, str | bool] = (
        {"class": "field"} if isinstance(field.field.widget, Input | Select | Textarea) else {}
    )
    described_by = [f"{field.auto_id}-errors"] if field.errors else []
    described_by += [f"{field.auto_id}_helptext"] if help_of(field) else []
    if described_by:
        attrs["aria-describedby"] = " ".join(described_by)
    if field.errors:
        attrs["aria-invalid"] = "true"
    if field.html_name == "code":
        attrs |= {"inputmode": "numeric", "autocomplete": "one-time-code"}
    # A placeholder would only repeat the label.
    field.field.widget.attrs.pop("placeholder", None)
    return field.as_widget(attrs=attrs)


@register.filter
def label_of(field: BoundField) -> str:
    return str(allauth_messages.LABELS.get(_name(field)) or field.label)


@register.filter
def help_of(field: BoundField) -> str:
    """The help text of a field. It may be HTML, if the form's own help text is."""
    return str(allauth_messages.HELP.get(_name(field)) or field.help_text)


def _name(field: BoundField) -> tuple[str, str]:
    return type(field.form).__name__, field.name
