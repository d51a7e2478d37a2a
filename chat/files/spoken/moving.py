"""Moves the sound of a guest's answers to the account that the guest joins."""

from asgiref.sync import sync_to_async

from accounts.models import User
from chat.models import Speech
from streams.log import get_log


async def copy_sounds(chat_id: str, guest: User, account: User) -> None:
    """Copy what is not stored yet. Its writers must have stopped. May be repeated."""
    sounds = get_log().sounds
    for name in await sync_to_async(_names_of)(chat_id):
        position = 0
        while pieces := await sounds.read(guest.stream, name, position):
            for piece in pieces:
                await sounds.append(account.stream, name, piece, None)
                position = piece.end


def _names_of(chat_id: str) -> list[str]:
    live = Speech.objects.filter(file__chat_id=chat_id, state=Speech.State.LIVE)
    return [str(file_id) for file_id in live.values_list("file_id", flat=True)]
