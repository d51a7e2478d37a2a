"""Where the sound of a spoken answer goes with its owner, and which models are asked to speak."""

import asyncio
import os

import pytest

from chat.llm import learned
from chat.llm.endpoints import Endpoint, Model
from chat.llm.prompt import Prompt
from chat.llm.request_form import RequestForm
from chat.models import StoredFile
from streams.log import get_log
from tests.chat.files.spoken.speakers import begun, heard, script, sound_of, stored, told
from tests.chat.personal_data.account_forms import account, sign_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

OPENROUTER = Endpoint("openrouter", "https://openrouter.ai/api/v1", "sk")
REFUSALS = [
    (400, {"error": {"message": "Invalid value: 'alloy'.", "param": "audio.voice"}}),
    (400, {"error": {"message": "Unknown parameter: 'audio'.", "param": "audio"}}),
    (422, {"detail": "modalities: unexpected field"}),
    (404, {"error": {"message": "No endpoints found that support output modality: audio"}}),
]


@pytest.fixture
def speaks(settings):
    settings.SPEAKING_MODELS = ["known"]


async def test_it_goes_along_into_an_account_that_the_guest_joins(worker, alice, speaks):
    owner = await account("alice@example.org")
    text = script(tokens=60, audio=6_000, rate=20)
    _, reply = await alice.send(text)
    file_id = await begun(reply)
    before = await heard(alice, file_id, until=24_000)
    row = await StoredFile.objects.select_related("owner").aget(id=file_id)
    guest_stream = row.owner.stream
    await sign_in(alice, "alice@example.org")
    await alice.client.get("/")
    alice.user = {"id": str(owner.id)}
    # The same address goes on under the account.
    rest = await heard(alice, file_id, len(before))
    message = await told(alice, reply)
    sound = await stored(alice, message)
    assert before + rest == sound
    kept = len(os.path.commonprefix([sound, sound_of(text, 6_000)]))
    assert kept >= 24_000 and sound_of(text, 6_000).endswith(sound[kept:])
    row = await StoredFile.objects.select_related("owner").aget(id=file_id)
    assert (row.owner_id, row.state) == (owner.id, "ready")
    async with asyncio.timeout(10):
        for stream in (guest_stream, owner.stream):
            while await get_log().sounds.last(stream, file_id):
                await asyncio.sleep(0.05)


def form(**fields):
    listed = {"listed_outputs": ("text", "audio")} | fields
    model = Model("openrouter/a/spoken", "Spoken", OPENROUTER, 8_000, **listed)
    return RequestForm(model, Prompt(({"role": "user", "content": "Hi"},), 0, 1), "")


@pytest.mark.parametrize(("status", "body"), REFUSALS)
def test_a_refusal_of_speech_is_learned(settings, status, body):
    settings.SPEAKING_VOICE = "verse"
    asked = form()
    request = asked.request(None, None)
    assert request["modalities"] == ["text", "audio"]
    assert request["audio"] == {"voice": "verse", "format": "pcm16"}
    assert asked.learn(status, body)
    assert not {"audio", "modalities"} & set(asked.request(None, None)) and not asked.speaks
    # Remembered once the provider has accepted the other form.
    assert form().speaks
    asked.remember()
    assert not form().speaks
    learned.refuses_speech.clear()


def test_other_refusals_are_not_about_speech():
    for status, body in ((400, {"error": "temperature"}), (500, {"error": "audio"})):
        asked = form()
        asked.learn(status, body)
        assert asked.speaks
    silent = form(listed_outputs=("text",))
    assert not silent.learn(404, REFUSALS[3][1])


@pytest.mark.parametrize(
    ("listed", "globs", "outputs", "speaks"),
    [
        (("text", "audio"), [], ("text", "audio"), True),
        (("audio",), [], ("audio",), False),
        (("text",), ["spoken"], ("text",), False),
        ((), ["spoken"], ("text", "audio"), True),
        ((), ["other"], ("text",), False),
        (("image", "text", "audio"), [], ("image", "text", "audio"), True),
    ],
)
def test_which_models_speak(settings, listed, globs, outputs, speaks):
    settings.SPEAKING_MODELS = globs
    model = Model("openrouter/a/spoken", "Spoken", OPENROUTER, 8_000, listed_outputs=listed)
    assert (model.outputs, model.speaks) == (outputs, speaks)
    silent = model.without_speech()
    assert not silent.speaks and silent.makes_pictures == model.makes_pictures
    assert ("audio" in model.to_dict().get("outputs", ())) == speaks
