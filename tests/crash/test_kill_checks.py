"""Tests that each check of the kill run reports the fault that it looks for."""

import subprocess
import sys
from types import SimpleNamespace

import psutil

from tests.chat.random_logs import entries_of
from tests.crash import kill_checks, leftovers
from tests.crash.kill_people import Exchange, Talk
from tests.fake_model import text_of
from tests.folding import fold_entries

CHAT, MESSAGE, REPLY = "c", "m", "r"
TEXT = "[[tokens=3]] p01m001 what?"
WHOLE = text_of(TEXT, 3, "marked")


def exchange():
    return Exchange(MESSAGE, TEXT, WHOLE, tokens=3, replies={REPLY})


def transcript(text, *, end="stop", completion_tokens=3, more=()):
    created = {"type": "message.created", "chat": CHAT}
    usage = {"completion_tokens": completion_tokens, "estimated": False}
    events = [
        created | {"message": MESSAGE, "role": "user", "text": TEXT},
        *more,
        created | {"message": REPLY, "role": "assistant", "parent": MESSAGE},
        {"type": "message.started", "message": REPLY, "attempt": 1, "model": "m"},
        {"type": "message.delta", "message": REPLY, "text": text},
    ]
    if end:
        ended = {"type": "message.completed", "message": REPLY, "finish": end, "model": "m"}
        ended |= {"length": len(text), "sha256": "", "duration_ms": 1, "usage": usage}
        events.append(ended)
    log = [[f"{number}-0", {"chat": CHAT} | event] for number, event in enumerate(events, 1)]
    return log, fold_entries(entries_of(log))


def faults_of(text, *, stopped=False, **transcript_faults):
    talk = Talk(CHAT, exchanges={MESSAGE: exchange()}, stopped={REPLY} if stopped else set())
    return list(kill_checks.transcript_faults(talk, transcript(text, **transcript_faults)[1]))


def test_an_answer_that_is_right():
    assert faults_of(WHOLE) == []
    assert faults_of(WHOLE[:20], end="stopped", stopped=True) == []


def test_answers_that_are_not():
    assert "differs at 15" in faults_of(WHOLE[:13] + "p02m001.0001 ")[0]
    assert "differs" in faults_of(WHOLE + "p01m001.0003 ")[0]
    assert "is done with 26 of 39" in faults_of(WHOLE[:26])[0]
    assert "stopped without a request" in faults_of(WHOLE[:26], end="stopped")[0]
    assert "still running" in faults_of(WHOLE, end=None)[0]
    assert "counted as 7, not 3" in faults_of(WHOLE, completion_tokens=7)[0]


def test_a_send_that_happened_twice():
    again = {"type": "message.created", "message": "n", "role": "user", "text": TEXT}
    assert "messages sent: 1" in faults_of(WHOLE, more=[again])[0]


def test_an_answer_nobody_asked_for():
    more = {"type": "message.created", "message": "n", "role": "assistant", "parent": MESSAGE}
    assert "asked for the answers" in faults_of(WHOLE, more=[more])[0]


def test_an_end_that_names_other_bytes():
    log, fresh = transcript(WHOLE)
    assert len(list(kill_checks.end_faults(log, fresh))) == 1  # the digest is empty


def test_a_seam_in_the_wrong_place():
    resumed = {"type": "message.resumed", "message": REPLY, "length": 12}
    seen = [(0.0, "1-0", {"type": "message.delta", "message": REPLY, "text": WHOLE[:13]})]
    assert list(kill_checks.seam_faults([*seen, (0.0, "2-0", resumed)])) != []
    assert list(kill_checks.seam_faults([*seen, (0.0, "2-0", resumed | {"length": 13})])) == []


def test_a_call_that_broke_off_by_itself():
    resumed = {"type": "message.resumed", "message": REPLY, "reason": "provider"}
    assert list(kill_checks.call_faults([("100000-0", resumed)], cuts_ms=[99_000.0])) == []
    assert list(kill_checks.call_faults([("100000-0", resumed)], cuts_ms=[9_000.0])) != []


def test_a_log_with_what_is_somebody_elses():
    log, _ = transcript(WHOLE)
    events, known = [event for _, event in log], {REPLY: exchange()}
    assert list(kill_checks.log_faults(events, known)) == []
    other = {"type": "message.delta", "message": REPLY, "text": "p02m001.0000 "}
    found = " ".join(kill_checks.log_faults([*events, other], known))
    assert "['p01', 'p02']" in found and "not the beginning" in found


def test_a_prompt_with_what_is_somebody_elses():
    prompt = {"body": {"messages": [{"content": "p01m001"}, {"content": "p02m001"}]}}
    assert kill_checks.check_prompts([prompt]) != []


def test_a_task_that_did_not_end():
    killed = "web | Application instance <Task> took too long to shut down and was killed."
    stack = SimpleNamespace(earlier_lines=["web | ready", killed], lines=["ready again"])
    assert leftovers.check_tasks(stack) == [killed]


def test_a_process_that_is_left_over(tmp_path):
    """Finds it by its command or its environment, whichever process is its parent."""
    own = psutil.Process().pid
    stack = SimpleNamespace(data=tmp_path, up=None, processes=dict)
    assert leftovers.check_processes(stack) == []
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    left = [
        subprocess.Popen([*sleep, str(tmp_path)]),
        subprocess.Popen(sleep, env={"HOLDFAST_DATA": str(tmp_path)}),
    ]
    try:
        found = leftovers.check_processes(stack)
        assert [any(f"{one.pid} (child of {own}" in fault for fault in found) for one in left]
        assert len(found) == 2
    finally:
        for one in left:
            one.kill()
            one.wait()
