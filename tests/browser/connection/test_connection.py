"""The page while the network or the server is away."""

import uuid

from playwright.sync_api import expect

from tests.fake_model import text_of


def test_it_reconnects_by_itself_when_the_web_process_dies(alice, stack):
    prompt = f"[[rate=25&tokens=150]] {uuid.uuid4()}"
    alice.send(prompt)
    alice.writing()
    pid = stack.kill("web")
    expect(alice.page.locator(".connection-offline")).to_be_visible()
    stack.wait_replaced("web", pid)
    assert alice.text_of(alice.ended()) == text_of(prompt, 150)
    alice.is_live()
    expect(alice.answers).to_have_count(1)


def test_what_is_sent_offline_goes_out_once_when_the_network_is_back(alice, fake_model, shot):
    alice.ask("[[tokens=9]] Hello")
    mark = str(uuid.uuid4())
    alice.page.context.set_offline(True)
    alice.send(f"[[tokens=9]] {mark}")
    expect(alice.questions.last).to_contain_text("Not sent yet")
    expect(alice.page.locator(".connection-live")).to_have_count(0)
    shot(alice.page, "offline")
    alice.page.context.set_offline(False)
    expect(alice.answers).to_have_count(2)
    alice.ended()
    prompts = [request["prompt"] for request in fake_model.requests]
    assert prompts.count(f"[[tokens=9]] {mark}") == 1


def test_a_seam_is_shown_quietly(alice, stack, shot):
    prompt = f"[[rate=40&tokens=160]] {uuid.uuid4()}"
    alice.send(prompt)
    alice.writing()
    # One of the two writes this answer.
    pids = {part: stack.kill(part) for part in ("worker-1", "worker-2")}
    for part, pid in pids.items():
        stack.wait_replaced(part, pid)
    expect(alice.answers.last).to_have_attribute("aria-busy", "false", timeout=60_000)
    answer = alice.ended()
    assert alice.text_of(answer) == text_of(prompt, 160)
    answer.locator(".seams summary").click()
    expect(answer.locator(".seams li")).to_contain_text("another one took over")
    shot(alice.page, "seam")
