"""The chores of chat: the log, search, erased chats, holds and prices."""

from collections.abc import Iterable

from asgiref.sync import sync_to_async
from django.db.models import Q

from chat.charging.price_refresh import record_prices
from chat.charging.reconcile import sweep_holds
from chat.files import checking, sweeping
from chat.files.speaking import orders as speech_orders
from chat.files.speaking import speaker
from chat.files.transcribing import telling, transcriber
from chat.files.transcribing.means import record_price
from chat.files.transcribing.orders import WAKE_ON as WAKE_ON_TRANSCRIPT
from chat.files.uploads import WAKE_ON as WAKE_ON_FILE
from chat.generation.ends import EndSweep
from chat.llm.client import drop_idle_clients
from chat.log_sizes import LogCount
from chat.personal_data.erase import erase_deleted_chats
from chat.personal_data.temporary import end_temporary_chats
from chat.search import indexer, recut
from streams.chores import SWEEP_EVERY_S, Chore, register

ENDS_EVERY_S = 20.0
COUNT_EVERY_S = 2.0
SOUND_EVERY_S = 30.0  # for what a killed worker has left
ERASE_EVERY_S = 60.0
TEMPORARY_EVERY_S = 30.0
SEARCH_BUSY_EVERY_S = 1.0
# A worker of an older release may still write outdated rows.
RECUT_EVERY_S = 60.0
HOLDS_EVERY_S = 30.0
PRICES_EVERY_S = 600.0
SWEEP_FILES_EVERY_S = 3_600.0
TELL_EVERY_S = 60.0  # for what a killed worker has left


@register
def chores() -> Iterable[Chore]:
    end_sweep, log_count = EndSweep(), LogCount()
    return (
        Chore("ends", end_sweep.run, ENDS_EVERY_S, lock="ends"),
        Chore(
            "log-sizes",
            log_count.run,
            COUNT_EVERY_S,
            lock="sizes",
            is_due=lambda: not log_count.is_done,
        ),
        Chore("temporary-chats", end_temporary_chats, TEMPORARY_EVERY_S),
        Chore("check-files", checking.check_all, SWEEP_EVERY_S, wake_on=WAKE_ON_FILE),
        Chore(
            "transcribe",
            transcriber.transcribe_all,
            SOUND_EVERY_S,
            wake_on=WAKE_ON_TRANSCRIPT,
        ),
        Chore("tell-transcriptions", telling.tell_all, TELL_EVERY_S, wake_on=WAKE_ON_TRANSCRIPT),
        Chore("speak", speaker.speak_all, SOUND_EVERY_S, wake_on=speech_orders.WAKE_ON),
        Chore("erase-files", sweeping.erase_marked, SWEEP_EVERY_S, wake_on=WAKE_ON_FILE),
        Chore("sweep-files", sync_to_async(_sweep_files), SWEEP_FILES_EVERY_S, lock="files"),
        Chore("erase-chats", erase_deleted_chats, ERASE_EVERY_S),
        Chore(
            "search-index",
            indexer.catch_up_all,
            SWEEP_EVERY_S,
            wake_on="search",
            busy_interval_s=SEARCH_BUSY_EVERY_S,
        ),
        Chore("search-recut", recut.run, RECUT_EVERY_S, lock="recut"),
        Chore("idle-clients", drop_idle_clients, SWEEP_EVERY_S, wake_on="keys", everywhere=True),
        Chore("holds", sweep_holds, HOLDS_EVERY_S, lock="holds"),
        Chore("prices", record_prices, PRICES_EVERY_S, lock="prices"),
        Chore("transcription-price", sync_to_async(record_price), PRICES_EVERY_S),
    )


def _sweep_files() -> None:
    sweeping.mark_unattached()
    sweeping.mark_unfinished()
    speech_orders.forget_failed()
    sweeping.remove_strays()
    checking.clean_up_interrupted(Q())
    checking.remove_leftovers()
