"""A broken-off answer, finished: the whole must equal what an uninterrupted answer had been."""

import pytest

from chat.llm.client import Delta, close_clients, means_for, stream_answer
from chat.llm.continuation import CONTINUE, AskSeam, PrefillSeam
from chat.llm.endpoints import Endpoint, Model
from chat.llm.errors import ProviderError
from tests.chat.llm.test_providers import ask
from tests.fake_model import CONTINUE_MARK, rest_of, running_fake_model, text_of, tokens_of


@pytest.fixture(scope="module")
def fake():
    with running_fake_model() as fake:
        yield fake


@pytest.fixture
async def make_model(fake):
    fake.reset()

    def make(means, echoes=None, server="", name="known"):
        endpoint = Endpoint("openai", fake.base_url, "k", means, echoes)
        return Model(f"openai/script/{name}", "Known", endpoint, 8192, None, server)

    yield make
    await close_clients()


async def rest(model, question, partial):
    items = [item async for item in stream_answer(model, ask(question), partial=partial)]
    return "".join(item.text for item in items if isinstance(item, Delta))


def cuts(whole):
    """Everywhere near the start and the end, and at every seventh character between."""
    places = {*range(1, 12), *range(12, len(whole), 7), len(whole) - 1, len(whole)}
    return [whole[:at] for at in sorted(places)]


@pytest.mark.parametrize("mode", ["words", "code", "unicode"])
@pytest.mark.parametrize(
    ("means", "echoes", "script"),
    [("prefill", True, "echo=1"), ("prefill", False, ""), ("prefill", None, "echo=1"),
     ("prefill", None, ""), ("prefill", False, "prefill=tidy"), ("ask", None, ""),
     ("ask", None, "overlap=20")],
)  # fmt: skip
async def test_the_whole_is_exact_wherever_it_was_cut(make_model, mode, means, echoes, script):
    model = make_model(means, echoes, name=f"{means}-{echoes}-{script}-{mode}")
    question = f"[[tokens=14&mode={mode}&{script}]] Hi"
    whole = text_of(question, 14, mode)
    for partial in cuts(whole):
        if "overlap" in script and len(partial.rstrip()) < 8:
            continue  # so short a repetition may be meant
        assert partial + await rest(model, question, partial) == whole, partial


def test_the_fake_knows_our_request_to_continue():
    assert CONTINUE.startswith(CONTINUE_MARK)
    assert "".join(rest_of(tokens_of("x", 9), text_of("x", 9)[:7])) == text_of("x", 9)[7:]


async def test_it_asks_where_prefill_is_refused_and_remembers(make_model, fake):
    model = make_model("prefill", False, name="refuses")
    question = "[[prefill=refuse&tokens=9]] Hi"
    whole = text_of(question, 9)
    assert means_for(model, whole[:9]) == "prefill"
    for _ in range(2):
        assert whole[:9] + await rest(model, question, whole[:9]) == whole
    assert means_for(model, whole[:9]) == "ask"
    last_roles = [r["body"]["messages"][-1]["role"] for r in fake.requests]
    assert last_roles == ["assistant", "user", "user"]


async def test_vllm_is_told_to_go_on_with_the_last_turn(make_model, fake):
    model = make_model("ask", server="vllm")
    await rest(model, "[[tokens=5]] Hi", text_of("[[tokens=5]] Hi", 5)[:7])
    body = fake.requests[0]["body"]
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


async def test_without_text_it_starts_anew(make_model, fake):
    model = make_model("prefill")
    question = "[[tokens=5]] Hi"
    assert means_for(model, "") == means_for(model, " \n") == "restart"
    assert await rest(model, question, "") == text_of(question, 5)
    assert len(fake.requests[0]["body"]["messages"]) == 1


@pytest.mark.parametrize("fault", ["cut_after=2", "die_after=2"])
async def test_an_echo_that_is_cut_off_gives_nothing(make_model, fault):
    model = make_model("prefill", None, name="cut")
    question = f"[[tokens=14&echo=1&{fault}]] Hi"
    partial, came = text_of(question, 9), ""
    with pytest.raises(ProviderError, match="broke the answer off"):
        async for item in stream_answer(model, ask(question), partial=partial):
            came += item.text
    assert came == ""


async def test_a_continuation_that_breaks_again_can_be_continued(make_model):
    model = make_model("prefill", True)
    question = "[[tokens=30&echo=1&die_after=12&times=3]] Hi"
    whole, kept, breaks = text_of(question, 30), "", 0
    while kept != whole:
        try:
            async for item in stream_answer(model, ask(question), partial=kept):
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
