"""A worker that runs for a part of a test."""

import asyncio
import contextlib

from chat.generation.worker import Worker
from chat.models import Reply


@contextlib.asynccontextmanager
async def working(name=""):
    worker = Worker()
    worker.name += name
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.leave()
        await running


async def settled_row(reply_id):
    async with asyncio.timeout(15):
        while True:
            reply = await Reply.objects.aget(id=reply_id)
            if reply.is_final:
                return reply
            await asyncio.sleep(0.02)
