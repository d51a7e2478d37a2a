"""Connections to a model server: every byte of a response belongs to its request."""

import asyncio
import time
import types
from contextlib import suppress

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.llm.http import idle_connections
from chat.llm.http.connection import Connection, Exchange, NotOwnerError, request_head
from tests.chat.llm.http.certificates import self_signed
from tests.chat.llm.marking_server import (
    MODES,
    READERS,
    ask,
    foreign,
    lines,
    marking_server,
    settle,
    talking,
    whole,
)
from tests.examples import examples

# The modes after which, if the response is read to its end, the connection is reused.
KEPT = {
    "whole", "sized", "in parts", "the rest at once", "sized, in parts", "end comes late",
    "head comes late", "after a preface", "much", "html", "refused", "no content",
}  # fmt: skip


@pytest.mark.parametrize("how", READERS)
@pytest.mark.parametrize("mode", MODES)
def test_no_bytes_of_a_previous_response_are_read(run, mode, how):
    async def main():
        async with talking() as (server, transport, client):
            for n in range(2):
                with suppress(httpx2.TransportError):
                    seen = await ask(client, server.url(f"anna{n}", mode), how)
                    assert foreign(seen, f"anna{n}") == b""
                seen = await ask(client, server.url(f"ben{n}"))
                assert seen == lines(b"ben%d" % n)
            assert max(server.requests.values()) == 1
            await settle(lambda: len(server.open) <= len(transport._idle) <= 1)

    run(main())


@pytest.mark.parametrize("mode", MODES)
def test_a_connection_is_reused_only_after_a_clean_end(run, mode):
    async def main():
        async with talking() as (server, _, client):
            for n in range(3):
                with suppress(httpx2.TransportError):
                    await ask(client, server.url(f"m{n}", mode))
            assert server.connections == (1 if mode in KEPT else 3)

    run(main())


def test_an_expired_connection_is_not_reused_after_the_loop_was_blocked(run, monkeypatch):
    """The timer that closes the connection is late, and the server may be closing it already."""
    monkeypatch.setattr(idle_connections, "MAX_IDLE_S", 0.05)

    async def main():
        async with talking() as (server, transport, client):
            await ask(client, server.url("anna"))
            assert len(transport._idle) == 1
            time.sleep(0.1)
            await ask(client, server.url("ben"))
            assert server.connections == 2

    run(main())


def test_a_server_that_closes_unannounced_gets_a_new_connection(run, monkeypatch):
    """llama.cpp does this, although its response announces keep-alive."""
    monkeypatch.setattr(idle_connections, "MIN_IDLE_S", 0.1)
    monkeypatch.setitem(MODES, "closes soon", lambda m: [whole(m), None, "close"])

    async def main():
        async with talking() as (server, transport, client):
            for n in range(20):
                assert await ask(client, server.url(f"m{n}", "closes soon")) == lines(b"m%d" % n)
            assert server.connections == 20
            await ask(client, server.url("kept"))
            await asyncio.sleep(0.15)
            await ask(client, server.url("kept"))
            assert server.connections == 21

    run(main())


def test_a_finished_response_cannot_reach_the_connection(run):
    """It is closed twice, closed late, read late and read twice while another request owns it."""

    async def main():
        async with talking() as (server, transport, client):
            request = client.build_request("POST", server.url("anna"), content=b"{}")
            anna = await client.send(request, stream=True)
            body = anna.stream._stream
            assert b"".join([piece async for piece in body]) == lines(b"anna")
            await body.aclose()
            assert len(transport._idle) == 1
            request = client.build_request("POST", server.url("ben", "in parts"), content=b"{}")
            ben = await client.send(request, stream=True)
            assert server.connections == 1 and len(transport._idle) == 0
            pieces = ben.aiter_raw()
            seen = await anext(pieces)
            await body.aclose()
            await anna.aclose()
            with pytest.raises(httpx2.StreamConsumed):
                await anext(aiter(body))
            with pytest.raises(httpx2.StreamClosed):
                await body._exchange.read()
            body._exchange.abort()
            assert len(transport._idle) == 0
            assert seen + b"".join([piece async for piece in pieces]) == lines(b"ben")
            await ben.aclose()
            assert server.connections == 1 and len(transport._idle) == 1

    run(main())


def test_a_second_reader_of_a_response_is_refused(run):
    async def main():
        async with talking() as (server, _, client):
            request = client.build_request("POST", server.url("a", "in parts"), content=b"{}")
            answer = await client.send(request, stream=True)
            exchange = answer.stream._stream._exchange
            first = asyncio.create_task(exchange.read())
            await asyncio.sleep(0)
            with pytest.raises(NotOwnerError):
                await exchange.read()
            assert await first == lines(b"a", 2)
            await answer.aclose()

    run(main())


def test_a_connection_has_one_owner(run):
    async def main():
        async with marking_server() as server:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(Connection, "127.0.0.1", server.port)
            head = request_head(httpx2.Request("POST", server.url("a"), content=b"{}"))
            owner = Exchange(connection, "POST", head, b"{}")
            with pytest.raises(NotOwnerError):
                Exchange(connection, "POST", head, b"{}")
            with pytest.raises(NotOwnerError):
                connection.close()
            while await owner.read():
                pass
            assert owner.close() is connection and owner.close() is None
            for act in (connection.release, connection.abort, connection.pause, connection.resume):
                with pytest.raises(NotOwnerError):
                    act(owner)
            other = Exchange(connection, "POST", head, b"{}")
            owner.abort()
            assert await other.head() and not connection.usable
            other.abort()
            assert server.requests["a"] == 2

    run(main())


@types.coroutine
def cancelled_at(work, step, resumed):
    """Runs `work` and cancels it at its `step`th await, like a cancelled task: at once, or with
    `resumed` after the awaited future is done. Returns whether it reached that step."""
    steps, count, error = work.__await__(), 0, None
    while True:
        try:
            waiting = steps.throw(error) if error else steps.send(None)
        except (StopIteration, asyncio.CancelledError):
            return count >= step
        count += 1
        if count == step and not resumed and waiting is not None:
            waiting.cancel()
        error = None
        try:
            yield waiting
        except BaseException as raised:  # noqa: BLE001 (It is thrown into `work` below.)
            error = raised
        if count == step:
            error = asyncio.CancelledError()


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("mode", ["in parts", "the rest at once", "head comes late", "much"])
def test_cancelling_at_any_step_leaves_nothing_behind(
    run, tmp_path, monkeypatch, mode, resumed, secure
):
    async def main():
        scheme, tls = "http", None
        if secure:
            certificate, tls = self_signed(tmp_path)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            scheme = "https"
        async with talking(tls) as (server, transport, client):
            step, got_there = 0, True
            while got_there:
                step += 1
                assert step < 500
                got_there = False
                for used in (False, True):  # a connection that was used before, or a new one
                    if not used:
                        transport._idle.close()
                        transport._idle._closed = False
                    name = f"{step}{used}"
                    work = ask(client, server.url(f"anna{name}", mode, scheme))
                    got_there |= await cancelled_at(work, step, resumed)
                    seen = await ask(client, server.url(f"ben{name}", "in parts", scheme))
                    assert seen == lines(b"ben%b" % name.encode())
            assert step > 2
            assert max(server.requests.values()) == 1
            await settle(lambda: len(server.open) <= len(transport._idle) == 1)

    run(main())


def test_concurrent_requests_each_get_their_own_response(run):
    @settings(max_examples=examples(15), deadline=None)
    @given(st.randoms(use_true_random=False))
    def everybody(random):
        run(crowd(random))

    async def person(number, random, client, server):
        for turn in range(5):
            mark = f"p{number}t{turn}"
            mode, how = random.choice(list(MODES)), random.choice(READERS)
            task = asyncio.create_task(ask(client, server.url(mark, mode), how))
            with suppress(httpx2.TransportError, asyncio.CancelledError):
                if random.random() < 0.4:
                    await asyncio.sleep(random.random() * 0.02)
                    task.cancel()
                seen = await task
                assert foreign(seen, mark) == b"", (mark, seen[:200])
                if mode in KEPT and how.startswith("reads") and mode not in ("much", "no content"):
                    assert seen == lines(mark.encode())
            assert server.requests[mark] <= 1

    async def crowd(random):
        async with talking() as (server, transport, client):
            await asyncio.gather(*(person(n, random, client, server) for n in range(30)))
            await settle(lambda: len(server.open) <= len(transport._idle))

    everybody()
