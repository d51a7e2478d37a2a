"""One chat as a file: what it has, its name, and what is refused."""

import uuid

import pytest

from tests.chat.conftest import MODEL

pytestmark = pytest.mark.django_db(transaction=True)


async def exported(person, form):
    return await person.client.get(f"/api/chats/{person.chat}/export?format={form}")


@pytest.fixture
async def branched(worker, alice):
    """A chat whose first answer was replaced by another one. Returns both, in this order."""
    asked, reply = await alice.send("[[tokens=4]] What is it?")
    await alice.settled(reply)
    again = str(uuid.uuid4())
    body = {"id": again, "parent": asked, "model": MODEL}
    assert (await alice.post(f"/api/chats/{alice.chat}/replies", **body)).status_code == 202
    await alice.settled(again)
    return reply, again


async def test_the_json_has_all_branches_and_says_which_is_shown(branched, alice):
    answer = await exported(alice, "json")
    assert answer["Content-Type"] == "application/json"
    content = answer.json()
    transcript = await alice.transcript()
    assert content["chat"] == str(alice.chat)
    assert content["messages"] == transcript.to_dict()["messages"]
    assert content["shown"] == [message.id for message in transcript.path()]
    assert branched[1] in content["shown"]
    assert branched[0] in content["messages"] and branched[0] not in content["shown"]


async def test_the_markdown_has_the_shown_branch_first_and_is_named_by_the_title(branched, alice):
    answer = await alice.client.patch(
        f"/api/chats/{alice.chat}", {"title": "Ä/b: ../c"}, content_type="application/json"
    )
    assert answer.status_code == 200
    answer = await exported(alice, "md")
    assert answer["Content-Type"].startswith("text/markdown")
    assert answer["Content-Disposition"] == ("attachment; filename*=utf-8''%C3%84-b-%20..-c.md")
    shown, others = answer.content.decode().split("# Other branches")
    messages = (await alice.transcript()).messages
    assert str(messages[branched[1]].text).strip() in shown
    assert str(messages[branched[0]].text).strip() in others


async def test_another_format_is_refused_and_requests_are_counted(no_worker, alice, settings):
    await alice.send("Hello")
    assert (await exported(alice, "pdf")).status_code == 400
    settings.LIMIT_CHANGES_PER_MINUTE_USER = 1
    await exported(alice, "md")
    assert (await exported(alice, "md")).status_code == 429
