"""Rechecks provider keys in workers: keys whose owners asked for it, and keys with outdated lists.

The claim on a row expires, so a worker that dies blocks nothing.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.db.models import Q
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from accounts.models import ProviderKey
from accounts.provider_keys import store as provider_keys
from accounts.provider_keys.encryption import KeyEncryptionError
from accounts.provider_keys.probe import Verdict, check

CLAIM_S = 90
AT_ONCE = 8
# Separate threads, because slow providers must not hold up other work in threads.
_threads = ThreadPoolExecutor(AT_ONCE, "keys")


async def run() -> None:
    """Make the checks that are wanted. Any number of workers may run it at once."""
    rows = await sync_to_async(_claim)()
    await asyncio.gather(*(_check(row) for row in rows))


def _claim() -> list[ProviderKey]:
    now = timezone.now()
    free = Q(check_claimed_until=None) | Q(check_claimed_until__lt=now)
    wanted = ProviderKey.objects.exclude(check_wanted=ProviderKey.Check.NONE).filter(free)
    claimed = []
    for row in wanted.filter(owner__is_active=True).order_by("checked_at")[:AT_ONCE]:
        unclaimed = ProviderKey.objects.filter(free, id=row.id)
        if unclaimed.update(check_claimed_until=now + timedelta(seconds=CLAIM_S)):
            claimed.append(row)
    return claimed


async def _check(row: ProviderKey) -> None:
    verdict = await asyncio.get_running_loop().run_in_executor(_threads, _verdict, row)
    await sync_to_async(provider_keys.note_verdict)(row, verdict)


@sensitive_variables()
def _verdict(row: ProviderKey) -> Verdict:
    try:
        key = provider_keys.reveal(row)
    except KeyEncryptionError:
        return Verdict(ProviderKey.Status.UNREADABLE)
    ask_model = row.check_wanted == ProviderKey.Check.FULL
    url, named = provider_keys.url_of(row), provider_keys.named_models(row)
    verdict = check(row.provider, url, key, ask_model=ask_model, named=named)
    if ask_model or verdict.status != ProviderKey.Status.OK:
        return verdict
    if verdict.models is None:  # The service lists no models, so the status stays.
        return Verdict(ProviderKey.Status(row.status), [])
    # The list alone does not show whether the account has credit again.
    status = row.status if row.status == ProviderKey.Status.OUT_OF_QUOTA else verdict.status
    return Verdict(ProviderKey.Status(status), verdict.models)
