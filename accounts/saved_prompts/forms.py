"""The form of a saved prompt."""

import unicodedata

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.saved_prompts.store import MAX_TEXT_CHARS, MAX_TITLE_CHARS


class PromptForm(forms.Form):
    title = forms.CharField(
        label=_("Title"),
        max_length=MAX_TITLE_CHARS,
        help_text=_("What you will look for after the “/”."),
        widget=forms.TextInput(attrs={"dir": "auto", "autocomplete": "off"}),
    )
    text = forms.CharField(
        label=_("Text"),
        # Spaces at its beginning may belong to code.
        strip=False,
        widget=forms.Textarea(attrs={"dir": "auto", "rows": 10, "maxlength": MAX_TEXT_CHARS}),
    )

    def clean_title(self) -> str:
        title: str = self.cleaned_data["title"]
        # Control characters and those that turn the direction would spoil the list of titles.
        title = "".join(c for c in title if unicodedata.category(c)[0] != "C" or c == "\u200d")
        if not (title := " ".join(title.split())):
            raise forms.ValidationError(gettext("Enter a title."))
        return title

    def clean_text(self) -> str:
        # Browsers send line endings of two characters, which the person does not count.
        text: str = self.cleaned_data["text"].replace("\r\n", "\n").replace("\r", "\n")
        text = text.rstrip()
        if not text.strip():
            raise forms.ValidationError(gettext("Enter a text."))
        if len(text) > MAX_TEXT_CHARS:
            raise forms.ValidationError(
                gettext("This can have at most %(most)s characters; it has %(count)s.")
                % {"most": f"{MAX_TEXT_CHARS:,}", "count": f"{len(text):,}"}
            )
        return text
