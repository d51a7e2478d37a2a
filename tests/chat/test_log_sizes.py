"""Workers count the logs that an earlier release wrote."""

import redis

from accounts.models import User
from chat import log_sizes
from chat.log_sizes import LogCount
from streams.keys import stream_keys
from streams.log import Event, get_log


async def test_all_people_are_counted_once(no_worker, redis_url, monkeypatch):
    monkeypatch.setattr(log_sizes, "PEOPLE", 2)
    people = [await User.objects.acreate(is_guest=True) for _ in range(3)]
    for person in people:
        await get_log().append(person.stream, [Event("e1", "c1", "note", b'"hello"')])
    expected = await get_log().sizes.of(people[0].stream, "c1")
    with redis.Redis.from_url(redis_url) as client:
        client.delete(*(stream_keys("hf", person.stream).sizes for person in people))
    count = LogCount()
    for _ in range(3):
        assert not client.exists("hf:{sizes}:counted")
        await count.run()
    assert [await get_log().sizes.of(person.stream, "c1") for person in people] == [expected] * 3
    assert client.exists("hf:{sizes}:counted")
    # Later logs are counted from the start, so another worker need not look for uncounted ones.
    client.delete(stream_keys("hf", people[0].stream).sizes)
    await LogCount().run()
    assert not (await get_log().sizes.of(people[0].stream)).is_whole
