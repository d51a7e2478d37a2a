"""Moves the sound of a guest's answers to the account that the guest joins."""

from collections.abc import Iterable

from asgiref.sync import sync_to_async

from accounts.models import User
from chat.models import Speech
from streams.log import get_log


async def copy_sounds(chat_id: str, guest: User, account: User) -> list[str]:
    """Copy what is not stored yet; returns the names. Its writers must have stopped. May be
    repeated."""
    sounds = get_log().sounds
    names = await sync_to_async(_names_of)(chat_id)
    for name in names:
        position = 0
        while pieces := await sounds.read(guest.stream, name, position):
            for piece in pieces:
                await sounds.append(account.stream, name, piece, None)
                position = piece.end
    return names


async def erase_copied(names: Iterable[str], guest: User) -> None:
    """Erase what was copied, once the chat is the account's. Listeners go on there. If this is
    interrupted, the rest is erased with the guest's log."""
    for name in names:
        await get_log().sounds.erase(guest.stream, name)


def _names_of(chat_id: str) -> list[str]:
    live = Speech.objects.filter(file__chat_id=chat_id, state=Speech.State.LIVE)
    return [str(file_id) for file_id in live.values_list("file_id", flat=True)]
