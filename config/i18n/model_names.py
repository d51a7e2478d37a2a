"""What the admin calls our models and their fields, in the language of whoever reads it.

Django makes these names from those in the code, in English. They are made translatable here, all at
once when all models are there, and beside what migrations look at: what a thing is called is no
part of the schema. A name that is translatable where it is defined stays as it is.
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
    """`said` in English is the `attribute` of `thing`: a field, or the options of a model. For
    translators, `context` says what is named: the same word may be another one there."""

    model: type[Model]
    thing: Any
    attribute: str
    context: str
    said: str


def make_translatable() -> None:
    """Done twice, it changes nothing the second time."""
    for name in names():
        setattr(name.thing, name.attribute, pgettext_lazy(name.context, name.said))


def names() -> Iterator[Name]:
    """Those of our models that are not translatable by themselves."""
    for model in (model for app in APPS for model in apps.get_app_config(app).get_models()):
        options = model._meta
        for attribute, context in (
            ("verbose_name", "a model"),
            ("verbose_name_plural", "models"),
        ):
            # As the class has it: Django's own plural is lazy, but no translation.
            if not isinstance(options.original_attrs.get(attribute), Promise):
                said = _in_english(getattr(options, attribute))
                yield Name(model, options, attribute, context, said)
        for field in options.local_fields:
            if not isinstance(field._verbose_name, Promise):  # type: ignore[attr-defined]
                said = _in_english(field.verbose_name)
                yield Name(model, field, "verbose_name", "a field", said)


def _in_english(name: object) -> str:
    with override(None):
        return str(name)
