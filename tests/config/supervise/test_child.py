"""One child of the supervisor, in this process: a replacement and a restart at the same time."""

import asyncio
import os
import signal
import subprocess
import sys

import psutil
import pytest

from config.supervise.child import Child, Service, until
from config.supervise.spawn import LAUNCHER

CODE = 'import os, signal; os.write(int(os.environ["HOLDFAST_READY_FD"]), b"r\\n"); signal.pause()'


@pytest.fixture
async def child():
    service = Service(
        name="web",
        argv=[sys.executable, "-ISE", "-c", CODE],
        ready=["pipe"],
        stage=1,
        stop_within_s=5.0,
        reloads=True,
    )
    made = Child(service, lambda _line: None, lambda: None)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCHLD, made.look)
    await made.start()
    yield made
    await made.stop()
    loop.remove_signal_handler(signal.SIGCHLD)


def of_us():
    """Servers of other tests may be children of this process, too."""
    ours = psutil.Process().children()
    return {each.pid for each in ours if CODE in each.cmdline()}


async def test_replacing_what_is_just_started_again_makes_one_process(child):
    for _ in range(3):
        dead = child.current
        os.kill(dead.pid, signal.SIGKILL)
        await asyncio.wait({dead.ended})
        await child.replace()  # In the same iteration of the loop as the restart.
        async with asyncio.timeout(30):
            while child.current is dead or not child.current.ready.done():
                await asyncio.sleep(0.01)
        assert of_us() == {child.current.pid}
    await child.stop()
    assert of_us() == set() == set(child.processes)


async def test_waiting_until_something_answers_can_always_be_broken_off():
    """This includes the iteration of the loop in which the connection was just refused."""
    for turns in range(12):

        async def refuse():
            for _ in range(3):
                await asyncio.sleep(0)
            raise ConnectionRefusedError

        waiting = asyncio.create_task(until(refuse, lambda _line: None))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        done, _ = await asyncio.wait({waiting}, timeout=30)
        assert done and waiting.cancelled(), turns


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_supervisor_of_an_earlier_release_starts_processes_by_the_file_of_this_one(number):
    """The supervisor is older than the files of the release that it deploys."""
    say = [sys.executable, "-ISE", "-c", "import os; print('started', len(os.environ))"]
    argv = [sys.executable, "-ISE", LAUNCHER, str(os.getpid()), str(int(number)), *say]
    tied = subprocess.run(argv, capture_output=True, env={}, timeout=60, check=False)
    assert (tied.stdout.split()[:1], tied.stderr) == ([b"started"], b"")
