import pytest

from chat.tools.mcp import connections


@pytest.fixture(autouse=True)
async def closed_connections():
    yield
    await connections.close_all()
