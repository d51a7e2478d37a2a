import pytest
from asgiref.sync import sync_to_async

from tests.chat.web.roles import make_people


@pytest.fixture
async def people(no_worker):
    yield await sync_to_async(make_people)()
