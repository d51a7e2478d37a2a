"""Run as a process of its own by test_guest_join_crashes, with the largest number of steps.

For each step it forks a child, which creates a guest with chats and an account, begins to join them
and kills itself (SIGKILL) at that step. A step is a call of the log or a change of rows. The driver
stops at the first child that finishes its join. Then it finishes all joins and prints one JSON
object:

killed    how many children were killed
joins     for each child, what became of its join
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import django
from django.conf import settings

django.setup()

from asgiref.sync import sync_to_async  # noqa: E402

from accounts.guests import merge as guest_joins  # noqa: E402
from accounts.models import GuestJoin, User  # noqa: E402
from chat.personal_data import merge_guest  # noqa: E402
from streams.log import close_log, get_log  # noqa: E402
from tests.chat.personal_data.written_chat import shown, written_chat  # noqa: E402
from tests.folding import fold_entries  # noqa: E402


def notes() -> Path:
    return Path(settings.DATA_DIR) / "joins.json"


def known() -> list[dict[str, Any]]:
    return json.loads(notes().read_text()) if notes().exists() else []


async def transcripts(owner: User, chats: list[str]) -> list[Any]:
    log = get_log()
    folded = [fold_entries(await log.read(owner.stream, chat=chat)) for chat in chats]
    return json.loads(json.dumps([shown(one) for one in folded]))


async def join(step: int) -> None:
    guest = await sync_to_async(User.objects.create)(is_guest=True, password="!")
    email = f"alice{step}@example.org"
    account = await sync_to_async(User.objects.create_user)(email, "x")
    chats = [await written_chat(guest, number) for number in range(2)]
    await sync_to_async(guest_joins.record)(guest, account)
    before = await transcripts(guest, chats)
    about = {"guest": guest.id.hex, "account": account.id.hex, "chats": chats, "before": before}
    notes().write_text(json.dumps([*known(), about]))
    kill_at(step)
    guest_joins.LATE_S = -1
    for _ in range(2):
        await guest_joins.carry_on_all()


def kill_at(step: int) -> None:
    left = [step]

    def count() -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def asynchronous(real: Any) -> Any:
        async def counted(*args: Any, **kwargs: Any) -> Any:
            result = await real(*args, **kwargs)
            count()
            return result

        return counted

    def sync(real: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            count()
            return result

        return counted

    log = get_log()
    for name in ("append", "raise_fence", "erase"):
        setattr(log, name, asynchronous(getattr(log, name)))
    merge_guest._switch = sync(merge_guest._switch)
    guest_joins._finish = sync(guest_joins._finish)


async def finish() -> list[dict[str, Any]]:
    guest_joins.LATE_S = -1
    for _ in range(4):
        await guest_joins.carry_on_all()
    joins = known()
    for about in joins:
        account = await User.objects.aget(id=about["account"])
        about["after"] = await transcripts(account, about["chats"])
        data = [entry.data for entry in await get_log().read(account.stream)]
        about["doubled"] = len(data) != len(set(data))
        about["guest_left"] = await User.objects.filter(id=about["guest"]).aexists()
        done = GuestJoin.objects.filter(guest_id=about["guest"], finished_at__isnull=False)
        about["finished"] = await done.aexists()
    return joins


async def with_log(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await work
    finally:
        await close_log()


def join_in_child(step: int) -> int:
    """Returns the exit status of the child, negative for a signal. This process has no event loop
    and no connection yet, so the child inherits none."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        asyncio.run(with_log(join(step)))
        os._exit(0)
    finally:  # Only an exception comes here.
        traceback.print_exc()
        os._exit(1)


def main(most: int) -> None:
    killed = 0
    for step in range(1, most + 1):
        status = join_in_child(step)
        if status not in (0, -signal.SIGKILL):
            sys.exit(f"step {step} ended with status {status}")
        killed += status == -signal.SIGKILL
        if status == 0:
            break
    joins = asyncio.run(with_log(finish()))
    sys.stdout.write(json.dumps({"killed": killed, "joins": joins}) + "\n")


main(int(sys.argv[1]))
