"""What people read about the speech of an answer."""

from typing import Any

from django.utils.translation import gettext, gettext_noop

from chat.models import Speech

FAILED = "failed"
SENTENCES = {
    FAILED: gettext_noop("This answer could not be read aloud. Try again."),
    "none": gettext_noop("The voice has changed. Try again."),
    "out_of_credit": gettext_noop(
        "There is not enough credit to read this answer aloud. Add some and try again."
    ),
    "refused": gettext_noop("The provider did not accept this text."),
    "key": gettext_noop(
        "The provider did not accept your key. Check it in the settings and try again."
    ),
    "storage_full": gettext_noop(
        "No room is left for this speech. Delete other files in the settings."
    ),
}


def speech_state(row: Speech | None) -> dict[str, Any]:
    """The `SpeechState` of docs/protocol.md. Sync."""
    if row is None:
        return {"speech": "none"}
    is_live = row.state == Speech.State.LIVE
    state: dict[str, Any] = {"speech": Speech.State.WAITING if is_live else row.state}
    if row.state == Speech.State.DONE:
        state |= audio_of(row)
    if row.state == Speech.State.FAILED:
        sentence = SENTENCES.get(row.error_code, SENTENCES[FAILED])
        state["error"] = {"code": row.error_code, "message": gettext(sentence)}
    return state


def audio_of(row: Speech) -> dict[str, Any]:
    """The fields of `message.audio` about the sound."""
    return {
        "file": row.file.facts,
        "voice": row.voice,
        "spans": row.spans,
        "estimated": row.estimated,
    }
