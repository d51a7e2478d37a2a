"""The examinations of `manage.py doctor`, which return findings and never raise."""

import asyncio
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.db import connection
from django.db.utils import Error as DatabaseProblem

from accounts.provider_keys.checks import key_messages
from accounts.provider_keys.store import versions_stored
from chat.files.local_speech import packages
from chat.files.probe import count_files, is_public, storage_problem
from chat.llm.catalogue import get_catalogue, reset_catalogue
from chat.llm.endpoints import Endpoint, configured_endpoints
from chat.sending.outbox import ANSWERS_QUEUE
from config.supervise import administrators, data_folder, open_files
from config.web.health import database_problem, memory_problem
from streams.queue import close_queues, get_queue
from streams.server.checks import redis_messages
from streams.server.inspect import RedisReport, inspect_redis

Level = Literal["ok", "warning", "problem"]
# The log grows with every message: a disk with less than this is soon full.
FREE_DISK_BYTES = 1_000_000_000
MODEL_TIMEOUT_S = 15.0
QUEUE_TIMEOUT_S = 3.0
OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")


@dataclass(frozen=True, slots=True)
class Finding:
    part: str
    level: Level
    text: str
    # The remedy for the operator.
    hint: str = ""


def examine() -> list[Finding]:
    report = inspect_redis(settings.REDIS_URL)
    return [
        *_machine(),
        *_folder(),
        *_configuration(),
        *_redis(report),
        *_database(),
        *_storage(),
        *_local_speech(),
        *_keys(),
        *_administrators(),
        *asyncio.run(_workers_and_models(report.reachable)),
    ]


def _machine() -> list[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    text = f"Python {version}, Django {django.__version__}"
    files = open_files.allowed()
    level: Level = "ok" if files >= open_files.FEW else "warning"
    hint = "" if level == "ok" else "Raise `ulimit -Hn`, or LimitNOFILE of the service."
    return [
        Finding("machine", "ok", text),
        Finding("files", level, f"{files:,} files and sockets at once for each process", hint),
    ]


def _folder() -> list[Finding]:
    folder = settings.DATA_DIR
    is_running = bool(data_folder.running(folder))
    running = f"running at {data_folder.read_run(folder).url}" if is_running else "not running"
    free = shutil.disk_usage(folder).free
    findings = [Finding("data", "ok", f"{folder}, {running}")]
    level: Level = "ok" if free >= FREE_DISK_BYTES else "problem"
    hint = "" if level == "ok" else "Make room: a full disk stops every answer."
    findings.append(Finding("disk", level, f"{free / 1e9:.1f} GB free", hint))
    return findings


def _configuration() -> list[Finding]:
    problems = [check for check in run_checks() if check.level >= ERROR and not check.is_silenced()]
    if not problems:
        return [Finding("configuration", "ok", "the system checks found nothing")]
    return [
        Finding("configuration", "problem", f"{check.msg} ({check.id})", str(check.hint or ""))
        for check in problems
    ]


def _redis(report: RedisReport) -> list[Finding]:
    kind = "embedded" if settings.EMBEDDED_REDIS else "given by REDIS_URL"
    found = []
    if report.reachable:
        used = (report.used_memory_bytes or 0) / 1e6
        limit = f" of {report.max_memory_bytes / 1e6:.0f}" if report.max_memory_bytes else ""
        append_only = {True: "yes", False: "no", None: "unknown"}[report.append_only]
        text = (
            f"{report.version}, {kind}; appendonly {append_only}, "
            f"appendfsync {report.append_fsync or 'unknown'}, "
            f"maxmemory-policy {report.eviction_policy or 'unknown'}; {used:.1f}{limit} MB held"
        )
        found.append(Finding("redis", "ok" if report.durable else "warning", text))
    if problem := memory_problem(report.percent_used):
        hint = (
            "Give Redis more memory (HOLDFAST_REDIS_MAX_MEMORY_MB, or maxmemory of your own), "
            "or lower what people may store (LIMIT_STORED_BYTES_...)."
        )
        found.append(Finding("redis", "warning", problem, hint))
    for message in redis_messages(report):
        level: Level = "problem" if message.is_serious() else "warning"
        found.append(Finding("redis", level, f"{message.msg} ({message.id})", str(message.hint)))
    if settings.EMBEDDED_REDIS and OVERCOMMIT.exists() and OVERCOMMIT.read_text().strip() == "0":
        found.append(
            Finding(
                "redis",
                "warning",
                "the kernel may refuse Redis the memory to rewrite its file",
                "sysctl vm.overcommit_memory=1",
            )
        )
    return found


def _database() -> list[Finding]:
    try:
        kind = _sqlite() if connection.vendor == "sqlite" else _postgresql()
    except (DatabaseProblem, OSError) as error:
        reason = " ".join(str(error).split())
        hint = "Check DATABASE_URL, and that the server runs."
        return [Finding("database", "problem", f"unreachable: {reason}", hint)]
    if problem := database_problem():
        return [Finding("database", "problem", f"{kind}; {problem}", "Run: manage.py migrate")]
    return [Finding("database", "ok", f"{kind}; every migration is applied")]


def _storage() -> list[Finding]:
    """Whether files can be written, and whether those of people are there."""
    if problem := storage_problem():
        hint = "Check the disk, and who owns the folder."
        if _has_bucket():
            hint = "Check HOLDFAST_STORAGE_URL, its keys, and what they may do in the bucket."
        return [Finding("files", "problem", problem, hint)]
    try:
        number, missing = count_files()
    except DatabaseProblem:
        return []  # `_database` reports it.
    except OSError as error:
        return [Finding("files", "problem", f"files cannot be counted: {error}")]
    findings = _public_bucket()
    where = "bucket" if _has_bucket() else "folder “files” of the data folder"
    if missing:
        text = f"{len(missing)} of {number} files of people are missing: {', '.join(missing[:5])}"
        return [*findings, Finding("files", "problem", text, f"Restore the {where}.")]
    return [*findings, Finding("files", "ok", f"{number} files of people, in the {where}")]


def _public_bucket() -> list[Finding]:
    try:
        if not is_public():
            return []
    except OSError as error:
        text = f"whether strangers can read the bucket is unknown: {error}"
        return [Finding("files", "warning", text)]
    hint = (
        "Remove the policy or the ACL that lets everybody read it, and block public access. Files "
        "are served by Holdfast, which checks who asks."
    )
    return [Finding("files", "warning", "anybody can read the bucket without a key", hint)]


def _local_speech() -> list[Finding]:
    if not settings.LOCAL_SPEECH:
        return []
    if names := packages.missing():
        text = f"HOLDFAST_LOCAL_SPEECH is on, but {', '.join(names)} cannot be imported"
        hint = (
            "Run `python3 manage.py up`, which installs the packages, or install "
            "requirements-speech.lock with --no-deps."
        )
        return [Finding("speech", "problem", text, hint)]
    return [Finding("speech", "ok", "English is recognised and read aloud on this machine")]


def _has_bucket() -> bool:
    return "bucket_name" in settings.STORAGES["default"].get("OPTIONS", {})


def _keys() -> list[Finding]:
    """Whether all of people's provider keys can be decrypted."""
    try:
        number = sum(versions_stored().values())
    except DatabaseProblem:
        return []  # `_database` reports it.
    findings = [
        Finding(
            "keys",
            "problem" if message.is_serious() else "warning",
            f"{message.msg} ({message.id})",
            str(message.hint),
        )
        for message in key_messages()
    ]
    return findings or [Finding("keys", "ok", f"{number} keys of people, all readable")]


def _administrators() -> list[Finding]:
    try:
        number = administrators.count()
    except DatabaseProblem:
        return []  # `_database` reports it.
    if number:
        people = "1 person" if number == 1 else f"{number} people"
        return [Finding("admin", "ok", f"{people} can do everything at /admin/")]
    hint = f"Make an administrator: {administrators.how_to()}"
    return [Finding("admin", "warning", "nobody can open /admin/ yet", hint)]


def _sqlite() -> str:
    with connection.cursor() as cursor:
        journal = cursor.execute("PRAGMA journal_mode").fetchone()[0]
        synchronous = cursor.execute("PRAGMA synchronous").fetchone()[0]
        version = cursor.execute("SELECT sqlite_version()").fetchone()[0]
    name = {0: "off", 1: "normal", 2: "full", 3: "extra"}.get(synchronous, synchronous)
    return f"SQLite {version}, journal {journal}, synchronous {name}"


def _postgresql() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (version,) = cursor.fetchone()
        cursor.execute("SHOW synchronous_commit")
        (commit,) = cursor.fetchone()
        cursor.execute("SHOW fsync")
        (fsync,) = cursor.fetchone()
    return f"PostgreSQL {version}, synchronous_commit {commit}, fsync {fsync}"


async def _workers_and_models(redis_answers: bool) -> list[Finding]:
    found = await _workers() if redis_answers else []
    return found + await _models()


async def _workers() -> list[Finding]:
    try:
        async with asyncio.timeout(QUEUE_TIMEOUT_S):
            queue = get_queue(ANSWERS_QUEUE)
            workers, waiting = await queue.workers(), await queue.size()
    except TimeoutError:
        return [Finding("workers", "problem", "Redis did not answer in time")]
    finally:
        await close_queues()
    text = f"{len(workers)} alive, {waiting} answers waiting or being written"
    if not workers:
        return [Finding("workers", "problem", text, "Start them: manage.py up, or manage.py work")]
    return [Finding("workers", "ok", text)]


async def _models() -> list[Finding]:
    endpoints, catalogue = configured_endpoints(), get_catalogue()
    try:
        async with asyncio.timeout(MODEL_TIMEOUT_S):
            models = await catalogue.models()
    except TimeoutError:
        return [Finding("models", "problem", "no endpoint answered in time")]
    finally:
        await reset_catalogue()
    found = []
    for endpoint in endpoints:
        count = sum(model.endpoint.name == endpoint.name for model in models)
        if count or not endpoint.optional:
            found.append(_endpoint(endpoint, count, catalogue.problem(endpoint)))
    return found or _no_endpoint()


def _endpoint(endpoint: Endpoint, count: int, problem: str) -> Finding:
    """An unreadable list of models is not a problem if HOLDFAST_MODELS names them."""
    text = f"{endpoint.name} at {urlsplit(endpoint.base_url).hostname}"
    hint = "Check its address and key. If it has no list of models, name them in HOLDFAST_MODELS."
    if endpoint.named:
        text += f": {count} models named by HOLDFAST_MODELS"
        return Finding("models", "ok", f"{text} ({problem})" if problem else text)
    if not count:
        return Finding("models", "problem", f"{text} lists no model ({problem or 'slow'})", hint)
    if problem:
        text += f": the model of HOLDFAST_DEFAULT_MODEL alone, because {problem}"
        return Finding("models", "warning", text, hint)
    return Finding("models", "ok", f"{text}: {count} models")


def _no_endpoint() -> list[Finding]:
    if settings.EMBEDDED_MODEL:
        return [Finding("models", "ok", "the embedded model, which `up` starts")]
    hint = "Set OPENAI_API_KEY, OPENAI_BASE_URL, OPENROUTER_API_KEY or OLLAMA_HOST."
    return [Finding("models", "problem", "none is configured", hint)]
