"""Workers that are killed at a step of a picture."""

import asyncio

from streams.errors import FencedError


class Killed(FencedError):
    """The worker does nothing more for this reply."""


def kill_once(monkeypatch, owner, name, is_after):
    """Lets the first worker that gets there lose the reply at this step."""
    step, killed = getattr(owner, name), []

    def killing(*args, **kwargs):
        if killed or is_after:
            result = step(*args, **kwargs)
        if killed:
            return result
        killed.append(True)
        raise Killed("killed")

    async def killing_async(*args, **kwargs):
        if killed or is_after:
            result = await step(*args, **kwargs)
        if killed:
            return result
        killed.append(True)
        raise Killed("killed")

    is_async = asyncio.iscoroutinefunction(step)
    monkeypatch.setattr(owner, name, killing_async if is_async else killing)
    return killed
