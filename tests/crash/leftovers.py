"""Checks that the kill run leaves no processes, tasks or counted sockets behind."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

import psutil
import websockets

from chat.websocket.open_sockets import MAX_SOCKETS_PER_USER
from tests.crash.kill_people import Person
from tests.stack import Stack

# Daphne's and asyncio's messages on a task that did not end, and on an exception that was lost.
TASKS_LEFT = ("took too long to shut down and was killed", "exception was never retrieved")


def check_processes(stack: Stack) -> list[str]:
    """Checks that all processes on the data folder are the supervisor and its own processes."""
    known = {stack.up.pid, *stack.processes().values()} if stack.up else set()
    found = {process.pid: process for process in processes_of(stack)}
    faults = [f"left over: {told(process)}" for pid, process in found.items() if pid not in known]
    return faults + [f"run.json names {pid}, which is gone" for pid in known - found.keys()]


def processes_of(stack: Stack) -> Iterator[psutil.Process]:
    folder = str(stack.data)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, FileNotFoundError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            in_command = any(folder in argument for argument in process.cmdline())
            if in_command or process.environ().get("HOLDFAST_DATA") == folder:
                yield process


def told(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        command = " ".join(process.cmdline())[-100:]
        return f"{process.pid} (child of {process.ppid()}, {process.status()}): {command}"
    return str(process.pid)


def check_tasks(stack: Stack) -> list[str]:
    """Checks that each task ended with its socket or request, and that no exception was lost."""
    lines = [*stack.earlier_lines, *stack.lines]
    return [line[:300] for line in lines if any(text in line for text in TASKS_LEFT)]


async def check_sockets(person: Person, within_s: float) -> list[str]:
    """Checks that closed sockets are not counted: a person whose sockets are closed can open
    exactly MAX_SOCKETS_PER_USER."""
    for talk in person.talks:
        await person.unfollow(talk)
    faults = await open_all(person, within_s)
    for talk in person.talks:
        if not talk.is_deleted:
            for watcher in talk.watchers:
                watcher.connect()
    return faults


async def open_all(person: Person, within_s: float) -> list[str]:
    """Opens the sockets; tries again if one is refused, because a socket that was just closed may
    still count for a moment."""
    give_up = time.monotonic() + within_s
    async with contextlib.AsyncExitStack() as sockets:
        for count in range(MAX_SOCKETS_PER_USER):
            while not await is_welcome(person, sockets):
                if time.monotonic() > give_up:
                    most = MAX_SOCKETS_PER_USER
                    return [f"{person.name} has no socket and may open {count} of {most}"]
                await asyncio.sleep(0.5)
        if await is_welcome(person, sockets):
            return [f"{person.name} has more than {MAX_SOCKETS_PER_USER} sockets"]
    return []


async def is_welcome(person: Person, sockets: contextlib.AsyncExitStack) -> bool:
    cookie = "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())
    try:
        socket = await sockets.enter_async_context(
            websockets.connect(
                person.url.replace("http", "ws", 1) + "/ws",
                additional_headers={"Cookie": cookie},
                origin=person.url,  # type: ignore[arg-type]
                ping_interval=None,
                open_timeout=20,
            )
        )
        return "welcome" in str(await asyncio.wait_for(socket.recv(), 20))
    except (OSError, websockets.WebSocketException, TimeoutError):
        return False
