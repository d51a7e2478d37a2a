"""A continued answer must equal the answer without an interruption."""

import pytest

from chat.llm.client import Delta, choose_continuation, close_clients, stream_answer
from chat.llm.continuation import CONTINUE, AskSeam, PrefillSeam
from chat.llm.endpoints import Endpoint, Model
from chat.llm.errors import ProviderError
from tests.chat.llm.prompts import prompt_of
from tests.fake_model import CONTINUE_MARK, rest_of, running_fake_model, text_of, tokens_of


@pytest.fixture(scope="module")
def fake():
    with running_fake_model() as fake:
        yield fake


@pytest.fixture
async def make_model(fake):
    fake.reset()

    def make(continuation, echoes=None, server="", name="known"):
        endpoint = Endpoint("openai", fake.base_url, "k", continuation, echoes)
        return Model(f"openai/script/{name}", "Known", endpoint, 8192, None, server)

    yield make
    await close_clients()


async def rest(model, question, partial):
    items = [item async for item in stream_answer(model, prompt_of(question), partial=partial)]
    return "".join(item.text for item in items if isinstance(item, Delta))


def cuts(whole):
    """Partial answers: cut everywhere near the start and the end, else every 7 characters."""
    places = {*range(1, 12), *range(12, len(whole), 7), len(whole) - 1, len(whole)}
    return [whole[:at] for at in sorted(places)]


@pytest.mark.parametrize("mode", ["words", "code", "unicode"])
@pytest.mark.parametrize(
    ("continuation", "echoes", "script"),
    [("prefill", True, "echo=1"), ("prefill", False, ""), ("prefill", None, "echo=1"),
     ("prefill", None, ""), ("prefill", False, "prefill=tidy"), ("ask", None, ""),
     ("ask", None, "overlap=20")],
)  # fmt: skip
async def test_a_continued_answer_is_exact_wherever_it_was_cut(
    make_model, mode, continuation, echoes, script
):
    model = make_model(continuation, echoes, name=f"{continuation}-{echoes}-{script}-{mode}")
    question = f"[[tokens=14&mode={mode}&{script}]] Hi"
    whole = text_of(question, 14, mode)
    for partial in cuts(whole):
        if "overlap" in script and len(partial.rstrip()) < 8:
            continue  # Such a short repetition may be intended.
        assert partial + await rest(model, question, partial) == whole, partial


def test_the_fake_model_recognises_the_request_to_continue():
    assert CONTINUE.startswith(CONTINUE_MARK)
    assert "".join(rest_of(tokens_of("x", 9), text_of("x", 9)[:7])) == text_of("x", 9)[7:]


async def test_it_asks_if_prefill_is_refused_and_remembers_that(make_model, fake):
    model = make_model("prefill", False, name="refuses")
    question = "[[prefill=refuse&tokens=9]] Hi"
    whole = text_of(question, 9)
    assert choose_continuation(model, whole[:9]) == "prefill"
    for _ in range(2):
        assert whole[:9] + await rest(model, question, whole[:9]) == whole
    assert choose_continuation(model, whole[:9]) == "ask"
    last_roles = [r["body"]["messages"][-1]["role"] for r in fake.requests]
    assert last_roles == ["assistant", "user", "user"]


async def test_vllm_is_told_to_continue_the_last_message(make_model, fake):
    model = make_model("ask", server="vllm")
    await rest(model, "[[tokens=5]] Hi", text_of("[[tokens=5]] Hi", 5)[:7])
    body = fake.requests[0]["body"]
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


async def test_without_text_the_answer_restarts(make_model, fake):
    model = make_model("prefill")
    question = "[[tokens=5]] Hi"
    assert choose_continuation(model, "") == choose_continuation(model, " \n") == "restart"
    assert await rest(model, question, "") == text_of(question, 5)
    assert len(fake.requests[0]["body"]["messages"]) == 1


@pytest.mark.parametrize("fault", ["cut_after=2", "die_after=2"])
async def test_an_interrupted_echo_is_dropped(make_model, fault):
    model = make_model("prefill", None, name="cut")
    question = f"[[tokens=14&echo=1&{fault}]] Hi"
    partial, came = text_of(question, 9), ""
    with pytest.raises(ProviderError, match="broke the answer off"):
        async for item in stream_answer(model, prompt_of(question), partial=partial):
            came += item.text
    assert came == ""


async def test_a_continuation_that_breaks_again_can_be_continued(make_model):
    model = make_model("prefill", True)
    question = "[[tokens=30&echo=1&die_after=12&times=3]] Hi"
    whole, kept, breaks = text_of(question, 30), "", 0
    while kept != whole:
        try:
            async for item in stream_answer(model, prompt_of(question), partial=kept):
                kept += item.text if isinstance(item, Delta) else ""
        except ProviderError as error:
            assert error.code == "stream_cut"
            breaks += 1
        assert whole.startswith(kept)
    assert 0 < breaks <= 3


@pytest.mark.parametrize(
    ("partial", "new", "kept"),
    [
        ("It was significant", " and more", " and more"),
        ("It was signi", "significant and", "ficant and"),
        ("It was signi", "ficant and", "ficant and"),
        ("Pi is 3.1", "14159", "14159"),
        ("ha ha ", "ha ha", "ha ha"),
        ("the quick brown fox", "quick brown fox jumps", " jumps"),
        ("the quick brown fox\n\n", "brown fox\n\nThen", "Then"),
        ("one\n\n", "\n\ntwo", "two"),
        ("one\n", "\n\ntwo", "\ntwo"),
        ("one ", "two", "two"),
        ("```python\nx = 1\ny", "y = 2\n```", "y = 2\n```"),
        ("a family 👩‍", "👩‍💻", "👩‍💻"),
    ],
)
def test_the_seam_of_an_asked_continuation(partial, new, kept):
    for size in (1, 2, 5, 100):
        seam = AskSeam(partial)
        pieces = [new[at : at + size] for at in range(0, len(new), size)]
        assert "".join(seam.feed(piece) for piece in pieces) + seam.flush() == kept


@pytest.mark.parametrize(
    ("echoes", "new", "kept"),
    [
        (True, "Hello wor", ""),
        (True, "Hello wor ld", "ld"),
        (True, "world", "world"),
        (False, "Hello wor", "Hello wor"),
        (None, "Hello there", "Hello there"),
        (None, "Hello w", "Hello w"),
        (None, "Hello wor ld", "ld"),
        (None, " ld", "ld"),
    ],
)
def test_the_seam_of_a_prefilled_answer(echoes, new, kept):
    for size in (1, 3, 100):
        seam = PrefillSeam("Hello wor ", echoes)
        pieces = [new[at : at + size] for at in range(0, len(new), size)]
        assert "".join(seam.feed(piece) for piece in pieces) + seam.flush() == kept
