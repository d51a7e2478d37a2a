import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import Preferences, User
from billing.models import Price


@pytest.fixture
def finance(client):
    """A reader whose day differs from UTC's."""
    staff = User.objects.create_user("staff@example.org", "x", is_staff=True)
    staff.groups.add(Group.objects.get(name="Finance"))
    Preferences.objects.create(person=staff, time_zone="Pacific/Auckland")
    client.force_login(staff)
    return staff


@pytest.fixture
def dear():
    """A price of $1 per million tokens."""
    return Price.objects.create(
        model="openrouter/dear",
        version=1,
        valid_from=timezone.now(),
        source="staff",
        input_micro_usd=1_000_000,
        output_micro_usd=1_000_000,
    )
