"""Makes the admin's names of our models and fields translatable.

Django derives these names from the code, in English. They are made translatable here, once all
models are loaded and where migrations do not see it, because a display name is not part of the
schema. A name that is already translatable where it is defined is left unchanged.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import Model
from django.utils.functional import Promise
from django.utils.translation import override, pgettext_lazy

APPS = "accounts", "billing", "chat", "streams"


@dataclass(frozen=True, slots=True)
class Name:
    """The English `text` is the `attribute` of `thing`: a field, or the options of a model.
    `context` tells translators what is named, since a word may have several translations."""

    model: type[Model]
    thing: Any
    attribute: str
    context: str
    text: str


def make_translatable() -> None:
    """Make the names translatable. A second call changes nothing."""
    for name in names():
        setattr(name.thing, name.attribute, pgettext_lazy(name.context, name.text))


def names() -> Iterator[Name]:
    """The names of our models and fields that are not translatable yet."""
    for model in (model for app in APPS for model in apps.get_app_config(app).get_models()):
        options = model._meta
        for attribute, context in (
            ("verbose_name", "a model"),
            ("verbose_name_plural", "models"),
        ):
            # The value in the class: Django's default plural is lazy too, but not a translation.
            if not isinstance(options.original_attrs.get(attribute), Promise):
                text = _in_english(getattr(options, attribute))
                yield Name(model, options, attribute, context, text)
        for field in options.local_fields:
            if not isinstance(field._verbose_name, Promise):  # type: ignore[attr-defined]
                text = _in_english(field.verbose_name)
                yield Name(model, field, "verbose_name", "a field", text)


def _in_english(name: object) -> str:
    with override(None):
        return str(name)
