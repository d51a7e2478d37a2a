"""Settings: limits."""

from environs import validate

from config.env import allauth_rates
from config.environment import env

# --- Limits for one address, guest or account; 0 means no limit (accounts/limits.py) ---
_COUNT = validate.Range(0, 1_000_000)
LIMIT_SENDS_PER_MINUTE_GUEST = env.int("LIMIT_SENDS_PER_MINUTE_GUEST", 12, validate=_COUNT)
LIMIT_SENDS_PER_MINUTE_ACCOUNT = env.int("LIMIT_SENDS_PER_MINUTE_ACCOUNT", 30, validate=_COUNT)
# Many people may share an address: an office, a school, a phone network.
LIMIT_SENDS_PER_MINUTE_ADDRESS = env.int("LIMIT_SENDS_PER_MINUTE_ADDRESS", 240, validate=_COUNT)
LIMIT_SENDS_PER_DAY_GUEST = env.int("LIMIT_SENDS_PER_DAY_GUEST", 200, validate=_COUNT)
LIMIT_SENDS_PER_DAY_ACCOUNT = env.int("LIMIT_SENDS_PER_DAY_ACCOUNT", 2_000, validate=_COUNT)
LIMIT_GUESTS_PER_HOUR_ADDRESS = env.int("LIMIT_GUESTS_PER_HOUR_ADDRESS", 30, validate=_COUNT)
# Guests and new accounts get free credit: these two bound what one address can cost a day.
LIMIT_GUESTS_PER_DAY_ADDRESS = env.int("LIMIT_GUESTS_PER_DAY_ADDRESS", 100, validate=_COUNT)
LIMIT_SIGN_UPS_PER_DAY_ADDRESS = env.int("LIMIT_SIGN_UPS_PER_DAY_ADDRESS", 100, validate=_COUNT)
LIMIT_SEARCHES_PER_MINUTE_USER = env.int("LIMIT_SEARCHES_PER_MINUTE_USER", 120, validate=_COUNT)
# Renaming, pinning, choosing a branch, settings, ...: each is a log entry or a broadcast.
LIMIT_CHANGES_PER_MINUTE_USER = env.int("LIMIT_CHANGES_PER_MINUTE_USER", 300, validate=_COUNT)
LIMIT_SIGN_INS_PER_MINUTE_ADDRESS = env.int(
    "LIMIT_SIGN_INS_PER_MINUTE_ADDRESS", 10, validate=_COUNT
)
LIMIT_SIGN_INS_PER_HOUR_NAME = env.int("LIMIT_SIGN_INS_PER_HOUR_NAME", 30, validate=_COUNT)
LIMIT_LOGINS_PER_MINUTE_ADDRESS = env.int("LIMIT_LOGINS_PER_MINUTE_ADDRESS", 30, validate=_COUNT)
LIMIT_FAILED_LOGINS_PER_MINUTE_ADDRESS = env.int(
    "LIMIT_FAILED_LOGINS_PER_MINUTE_ADDRESS", 10, validate=_COUNT
)
LIMIT_FAILED_LOGINS_PER_HOUR_NAME = env.int(
    "LIMIT_FAILED_LOGINS_PER_HOUR_NAME", 30, validate=_COUNT
)
LIMIT_SIGN_UPS_PER_MINUTE_ADDRESS = env.int(
    "LIMIT_SIGN_UPS_PER_MINUTE_ADDRESS", 20, validate=_COUNT
)
LIMIT_CODES_PER_MINUTE_ADDRESS = env.int("LIMIT_CODES_PER_MINUTE_ADDRESS", 20, validate=_COUNT)
LIMIT_CODES_PER_MINUTE_NAME = env.int("LIMIT_CODES_PER_MINUTE_NAME", 3, validate=_COUNT)
LIMIT_CODE_GUESSES_PER_DAY_ACCOUNT = env.int(
    "LIMIT_CODE_GUESSES_PER_DAY_ACCOUNT", 30, validate=_COUNT
)
LIMIT_LOCKED_CODES_TOLD_PER_DAY_ACCOUNT = 1
LIMIT_RESETS_PER_MINUTE_ADDRESS = env.int("LIMIT_RESETS_PER_MINUTE_ADDRESS", 20, validate=_COUNT)
LIMIT_RESETS_PER_MINUTE_NAME = env.int("LIMIT_RESETS_PER_MINUTE_NAME", 5, validate=_COUNT)
# allauth counts these. Limits that are not named here keep its defaults.
ACCOUNT_RATE_LIMITS = {
    "login": allauth_rates((LIMIT_LOGINS_PER_MINUTE_ADDRESS, "m/ip")),
    "login_failed": allauth_rates(
        (LIMIT_FAILED_LOGINS_PER_MINUTE_ADDRESS, "m/ip"),
        (LIMIT_FAILED_LOGINS_PER_HOUR_NAME, "h/key"),
    ),
    "signup": allauth_rates(
        (LIMIT_SIGN_UPS_PER_MINUTE_ADDRESS, "m/ip"), (LIMIT_SIGN_UPS_PER_DAY_ADDRESS, "d/ip")
    ),
    "request_login_code": allauth_rates(
        (LIMIT_CODES_PER_MINUTE_ADDRESS, "m/ip"), (LIMIT_CODES_PER_MINUTE_NAME, "m/key")
    ),
    "reset_password": allauth_rates(
        (LIMIT_RESETS_PER_MINUTE_ADDRESS, "m/ip"), (LIMIT_RESETS_PER_MINUTE_NAME, "m/key")
    ),
}
# TCP connections to one web process, for any use.
CONNECTIONS_AT_ONCE_ADDRESS = env.int("CONNECTIONS_AT_ONCE_ADDRESS", 1_000, validate=_COUNT)
LIMIT_SOCKETS_PER_MINUTE_ADDRESS = env.int("LIMIT_SOCKETS_PER_MINUTE_ADDRESS", 600, validate=_COUNT)
LIMIT_SOCKETS_PER_MINUTE_USER = env.int("LIMIT_SOCKETS_PER_MINUTE_USER", 120, validate=_COUNT)
# WebSockets that one address may have open at once, and polls that replace them.
SOCKETS_AT_ONCE_ADDRESS = env.int("SOCKETS_AT_ONCE_ADDRESS", 512, validate=_COUNT)
# The bytes that may wait in a web process for the clients of a user, of an address, or of all to
# read them. Beyond the bound, the socket that has kept the most for the longest is closed.
_BYTES = validate.Range(0, 10**12)
SOCKET_WAITING_BYTES_USER = env.int("SOCKET_WAITING_BYTES_USER", 12_000_000, validate=_BYTES)
SOCKET_WAITING_BYTES_ADDRESS = env.int("SOCKET_WAITING_BYTES_ADDRESS", 24_000_000, validate=_BYTES)
SOCKET_WAITING_BYTES = env.int("SOCKET_WAITING_BYTES", 32_000_000, validate=_BYTES)
# A client that reads nothing of what waits for it is disconnected after this time.
SOCKET_STALL_TIMEOUT_MS = env.int(
    "SOCKET_STALL_TIMEOUT_MS", 30_000, validate=validate.Range(1_000, 600_000)
)
# Without a WebSocket, each page polls up to three times a second while an answer is written.
LIMIT_POLLS_PER_MINUTE_USER = env.int("LIMIT_POLLS_PER_MINUTE_USER", 900, validate=_COUNT)
LIMIT_UPLOADS_PER_HOUR_USER = env.int("LIMIT_UPLOADS_PER_HOUR_USER", 60, validate=_COUNT)
LIMIT_FILES_PER_HOUR_USER = env.int("LIMIT_FILES_PER_HOUR_USER", 200, validate=_COUNT)
LIMIT_FILES_PER_HOUR_ADDRESS = env.int("LIMIT_FILES_PER_HOUR_ADDRESS", 1_000, validate=_COUNT)
# Each of these two calls a model.
LIMIT_TRANSCRIPTIONS_PER_HOUR_USER = env.int(
    "LIMIT_TRANSCRIPTIONS_PER_HOUR_USER", 60, validate=_COUNT
)
LIMIT_SPEECH_PER_HOUR_USER = env.int("LIMIT_SPEECH_PER_HOUR_USER", 60, validate=_COUNT)
LIMIT_EXPORTS_PER_DAY_USER = env.int("LIMIT_EXPORTS_PER_DAY_USER", 3, validate=_COUNT)
LIMIT_DRAFTS_PER_MINUTE_USER = env.int("LIMIT_DRAFTS_PER_MINUTE_USER", 240, validate=_COUNT)
# Failed sign-ins that the record of one account keeps.
LIMIT_FAILURES_RECORDED_PER_HOUR_USER = 30
# Webhook calls without Stripe's signature: each is recorded.
LIMIT_REFUSED_WEBHOOKS_PER_MINUTE_ADDRESS = env.int(
    "LIMIT_REFUSED_WEBHOOKS_PER_MINUTE_ADDRESS", 60, validate=_COUNT
)
# The same for all addresses together, because an attacker can have many.
LIMIT_REFUSED_WEBHOOKS_PER_HOUR_SITE = env.int(
    "LIMIT_REFUSED_WEBHOOKS_PER_HOUR_SITE", 1_000, validate=_COUNT
)
LIMIT_TOP_UPS_PER_HOUR_USER = env.int("LIMIT_TOP_UPS_PER_HOUR_USER", 20, validate=_COUNT)
LIMIT_CSP_REPORTS_PER_MINUTE_ADDRESS = env.int(
    "LIMIT_CSP_REPORTS_PER_MINUTE_ADDRESS", 20, validate=_COUNT
)

# --- What people may store, in stored bytes; 0 means no bound (chat/storage.py) ---
_BYTES = validate.Range(0, 2**50)
LIMIT_STORED_BYTES_GUEST = env.int("LIMIT_STORED_BYTES_GUEST", 20 * 2**20, validate=_BYTES)
LIMIT_STORED_BYTES_ACCOUNT = env.int("LIMIT_STORED_BYTES_ACCOUNT", 2**30, validate=_BYTES)
# Bytes that all guests of an address may store in a day: else each new guest has a new budget.
LIMIT_GUEST_BYTES_PER_DAY_ADDRESS = env.int(
    "LIMIT_GUEST_BYTES_PER_DAY_ADDRESS", 100 * 2**20, validate=_BYTES
)
# Files that are attached to messages, with their renditions (chat/files/uploads.py).
QUOTA_FILE_BYTES_GUEST = env.int("QUOTA_FILE_BYTES_GUEST", 100_000_000, validate=_BYTES)
QUOTA_FILE_BYTES_ACCOUNT = env.int("QUOTA_FILE_BYTES_ACCOUNT", 2_000_000_000, validate=_BYTES)
LIMIT_GUEST_FILE_BYTES_PER_DAY_ADDRESS = env.int(
    "LIMIT_GUEST_FILE_BYTES_PER_DAY_ADDRESS", 1_000_000_000, validate=_BYTES
)
# The size of one chat, all of which is read to open it and to answer in it: its messages, without
# deltas.
LIMIT_CHAT_BYTES = env.int("LIMIT_CHAT_BYTES", 16 * 2**20, validate=_BYTES)

# A check calls the provider, so it must not serve to try out keys or to scan the network.
LIMIT_KEY_CHECKS_PER_HOUR_USER = env.int("LIMIT_KEY_CHECKS_PER_HOUR_USER", 30, validate=_COUNT)
