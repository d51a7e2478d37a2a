"""Staff lets a worker audit the books now."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import User
from billing.chores import chores
from billing.models import AuditRequest, AuditRun
from tests.billing.admin.admin_pages import url

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def audit_chore():
    return next(chore for chore in chores() if chore.name == "audit")


def a_run(minutes_ago=0):
    ended_at = timezone.now() - timedelta(minutes=minutes_ago)
    started_at = ended_at - timedelta(seconds=2.5)
    return AuditRun.objects.create(
        started_at=started_at, finished_at=ended_at, checked={}, differences=[]
    )


async def test_a_requested_audit_runs_although_one_ran_just_now(
    async_client, finance, audit_chore, redis_url
):
    await AuditRun.objects.acreate(
        started_at=timezone.now(), finished_at=timezone.now(), checked={}, differences=[]
    )
    await audit_chore.step()
    assert await AuditRun.objects.acount() == 1
    await async_client.aforce_login(finance)
    for _ in range(2):
        answer = await async_client.post(url("books_audit"))
        assert (answer.status_code, answer["Location"]) == (302, url("books_balance"))
    request = await AuditRequest.objects.aget()
    assert request.staff_id == finance.id
    for _ in range(2):
        await audit_chore.step()
    assert await AuditRun.objects.acount() == 2
    assert not await AuditRequest.objects.aexists()


def test_the_page_says_when_the_last_audit_ended_and_how_long_it_took(client, finance, redis_url):
    page = client.get(url("books_balance")).content.decode()
    assert "never audited" in page and "Audit the books now" in page
    a_run(minutes_ago=5)
    page = " ".join(client.get(url("books_balance")).content.decode().split())
    assert "ended 5 minutes ago and took 2.5 s" in page
    client.post(url("books_audit"))
    page = client.get(url("books_balance")).content.decode()
    assert "An audit was requested at" in page and "Audit the books now" not in page


def test_support_cannot_request_an_audit(client, redis_url):
    staff = User.objects.create_user("staff@example.org", "x", is_staff=True)
    staff.groups.add(Group.objects.get(name="Support"))
    client.force_login(staff)
    assert client.post(url("books_audit")).status_code == 403
    assert not AuditRequest.objects.exists()


def test_a_link_cannot_request_an_audit(client, finance, redis_url):
    assert client.get(url("books_audit")).status_code == 405
    assert not AuditRequest.objects.exists()
