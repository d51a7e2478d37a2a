"""The archive of a person's data, as a `Person` requests and downloads it."""

import asyncio
import io
import zipfile

from tests.chat.personal_data.account_forms import form

DATA = "/settings/data"


async def prepared(person):
    """Request an archive on the page, and wait for the worker, for less than its interval."""
    response = await form(person, f"{DATA}/export")
    assert (response.status_code, response["Location"]) == (302, DATA)
    async with asyncio.timeout(15):
        while (await person.client.get(f"{DATA}/status")).json()["state"] != "ready":
            await asyncio.sleep(0.05)


async def fetched(person):
    response = await person.client.get(f"{DATA}/download")
    assert response.status_code == 200
    body = b"".join([chunk async for chunk in response.streaming_content])
    assert int(response["Content-Length"]) == len(body)
    return response, zipfile.ZipFile(io.BytesIO(body))


def only(archive, ending):
    [name] = [name for name in archive.namelist() if name.endswith(ending)]
    return archive.read(name).decode()
