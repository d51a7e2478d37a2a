"""Our MCP client in the conformance suite of the protocol: some scenarios, `--full`: all."""

import pytest

from tests import conformance

QUICK = [
    ("2026-07-28", "tools_call"),
    ("2026-07-28", "sep-2322-client-request-state"),
    ("2026-07-28", "http-custom-headers"),
    ("2025-11-25", "initialize"),
    ("2025-11-25", "sse-retry"),
]


@pytest.fixture(scope="module", autouse=True)
def suite():
    try:
        conformance.installed()
    except conformance.NotInstalledError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("revision", "scenario"), QUICK)
def test_a_scenario(revision, scenario):
    outcome = conformance.run(scenario, revision)
    assert outcome.passed, outcome.output


@pytest.mark.full
@pytest.mark.parametrize("revision", conformance.REVISIONS)
def test_all_scenarios_of_what_the_client_offers(revision):
    names = conformance.scenarios(revision)
    assert len(names) >= 19
    outcomes = [conformance.run(name, revision) for name in names]
    failed = [outcome for outcome in outcomes if not (outcome.passed or outcome.is_not_offered)]
    assert not failed, failed[0].output
