"""What people read about the transcription of a file."""

from typing import Any

from django.utils.translation import gettext, gettext_noop

from chat.models import StoredFile, Transcription

FAILED = "failed"
SENTENCES = {
    FAILED: gettext_noop("The speech could not be written down. Try again."),
    "none": gettext_noop("Speech is not written down here any more."),
    "limit": gettext_noop("Too much speech was written down in the last hour. Try again later."),
    "out_of_credit": gettext_noop(
        "There is not enough credit to write this speech down. Add some and try again."
    ),
    "refused": gettext_noop("The provider did not accept this sound."),
    "key": gettext_noop(
        "The provider did not accept your key. Check it in the settings and try again."
    ),
    "form": gettext_noop("This kind of sound cannot be written down here. Record it, or use WAV."),
}


def transcription_state(row: StoredFile) -> dict[str, Any]:
    """The fields of `FileState` about the transcription of sound (docs/protocol.md). Sync."""
    transcription: Transcription | None = getattr(row, "transcription", None)
    if transcription is None:
        return {"transcription": "none"}
    state: dict[str, Any] = {"transcription": transcription.state}
    if transcription.state == Transcription.State.DONE:
        state["text"] = transcription.text
    if transcription.state == Transcription.State.FAILED:
        code = transcription.error_code
        state["error_text"] = gettext(SENTENCES.get(code, SENTENCES[FAILED]))
    return state
