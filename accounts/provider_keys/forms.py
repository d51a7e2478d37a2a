"""The form for a provider key. The entered key is never sent back to the browser."""

import re
import unicodedata
from typing import Any
from urllib.parse import unquote

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from accounts.provider_keys.address_filter import AddressRefusedError, normal_url
from accounts.provider_keys.model_documents import MAX_NAME_CHARS
from accounts.provider_keys.providers import CUSTOM, MIN_KEY_CHARS, PROVIDERS, shape_problem

MAX_LABEL_CHARS = 60
MAX_NAMED_MODELS = 50
# Fields for custom providers. They are no secrets, and are sent back to the browser as entered.
OPEN_FIELDS = ("label", "base_url", "models")


class KeyForm(forms.Form):
    label = forms.CharField(
        label=_("Label"),
        max_length=MAX_LABEL_CHARS,
        help_text=_("What your models are listed under, such as “Lab server”."),
    )
    base_url = forms.CharField(
        label=_("Address of the API"),
        max_length=300,
        help_text=_("It mostly ends in /v1, such as https://llm.example.org/v1."),
        widget=forms.URLInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )
    models = forms.CharField(
        label=_("Models"),
        required=False,
        max_length=2_000,
        help_text=_("Only if the service gives no list of them: their names, separated by commas."),
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )
    key = forms.CharField(
        label=_("Key"),
        strip=True,
        required=False,
        max_length=2_000,
        widget=forms.PasswordInput(
            render_value=False,
            attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"},
        ),
    )

    data: Any

    def __init__(self, provider: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.provider = PROVIDERS[provider]
        if provider == CUSTOM:
            self.fields["key"].help_text = gettext("Sent to this address and nowhere else.")
        else:
            for name in OPEN_FIELDS:
                del self.fields[name]

    def clean_label(self) -> str:
        label: str = self.cleaned_data["label"]
        label = "".join(c for c in label if unicodedata.category(c)[0] != "C")
        if not (label := " ".join(label.split())):
            raise forms.ValidationError(gettext("Enter a label."))
        return label

    def clean_base_url(self) -> str:
        try:
            return normal_url(self.cleaned_data["base_url"].strip())
        except AddressRefusedError as error:
            raise forms.ValidationError(str(error)) from error

    def clean_models(self) -> list[str]:
        names = [name.strip() for name in re.split(r"[,\n]", self.cleaned_data["models"])]
        names = list(dict.fromkeys(name for name in names if name))
        if any(not name.isprintable() or len(name) > MAX_NAME_CHARS for name in names):
            raise forms.ValidationError(gettext("This is not the name of a model."))
        if len(names) > MAX_NAMED_MODELS:
            raise forms.ValidationError(
                gettext("These are too many: %(most)d at most.") % {"most": MAX_NAMED_MODELS}
            )
        return names

    @sensitive_variables()
    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"]
        if problem := shape_problem(self.provider, key):
            raise forms.ValidationError(problem)
        return key

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        """Refuse other fields that contain the key, because they are shown again."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        key = self.data.get("key", "").strip()
        for name in OPEN_FIELDS:
            if len(key) >= MIN_KEY_CHARS and key in unquote(self.data.get(name, "")):
                self.add_error(name, gettext("This field must not hold the key. Enter it again."))
                self.data = {**dict(self.data.items()), name: ""}
        return cleaned
