"""The two folds, Python's and the browser's, give the same transcript on random logs."""

from hypothesis import HealthCheck, given, settings

from tests.chat.random_logs import chat_logs, entries_of
from tests.examples import examples
from tests.folding import fold_entries


@given(log=chat_logs())
@settings(
    deadline=None,
    max_examples=examples(120),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_browser_folds_as_the_server_does(javascript_fold, log):
    assert javascript_fold(log) == fold_entries(entries_of(log)).to_dict()


@given(log=chat_logs())
@settings(
    deadline=None,
    max_examples=examples(50),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_reconnect_gives_the_same_transcript_in_the_browser(javascript_fold, log):
    """A reader has seen some entries, and then receives all entries again from any position."""
    whole = fold_entries(entries_of(log)).to_dict()
    for cut in range(0, len(log), 7):
        assert javascript_fold(log[:cut] + log[max(0, cut - 3) :]) == whole
