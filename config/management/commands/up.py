"""`manage.py up`: runs all of Holdfast on this machine with one command.

1. Locks the data folder and binds the port, so that a second start fails.
2. Checks the configuration, migrates the database, collects the static files. A failure is one line
   that says what to do.
3. Becomes the supervisor (config/supervise/supervisor.py), which keeps the processes running.
"""

import json
import os
import secrets
import socket
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from accounts.provider_keys.checks import key_messages
from chat.llm.checks import check_usable_model
from config.checks import LOOPBACK, check_door
from config.supervise import (
    administrators,
    bootstrap,
    bounded_output,
    data_folder,
    embedded_libgomp,
    prepare,
)
from config.supervise.child import Service
from config.supervise.listen import ListenError, listen
from config.supervise.redis_plan import RedisPlanError, check_given_redis, redis_service
from config.supervise.supervisor import Plan

MANAGE = str(settings.BASE_DIR / "manage.py")
WORKER_STOP_S = 15.0
WEB_STOP_S = 10.0
OLLAMA_PORT = 11434
MODEL_STOP_S = 5.0
MISTAKES = (
    bootstrap.BootstrapError,
    data_folder.DataFolderError,
    prepare.PrepareError,
    embedded_libgomp.GompError,
    ImproperlyConfigured,
    RedisPlanError,
    ListenError,
)


class Command(BaseCommand):
    help = "Start Redis, the model, web and workers, and keep them running until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="HOLDFAST_HOST (%(default)s)")
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help="HOLDFAST_PORT (%(default)s)"
        )
        parser.add_argument("--data", metavar="DIR", help="HOLDFAST_DATA: the folder of all data")
        parser.add_argument(
            "--workers",
            type=int,
            default=settings.WORKERS,
            help="HOLDFAST_WORKERS: the number of workers (%(default)s)",
        )

    def handle(self, *, host: str, port: int, workers: int, **_options: Any) -> None:
        try:
            locks = data_folder.claim(settings.DATA_DIR)
            for name in data_folder.stop_leftovers(settings.DATA_DIR):
                self.stdout.write(f"Stopped {name}, left running by an earlier start.")
            data_folder.forget_run(settings.DATA_DIR)
            listening = listen(host, port)
            services, notes = _prepare(listening, workers)
        except MISTAKES as error:
            sys.exit(f"holdfast: {error}")
        if host not in LOOPBACK and not settings.URL:
            notes.append(
                "Browsers may call this machine localhost only; "
                "set HOLDFAST_URL (or ALLOWED_HOSTS) to the address that people use."
            )
        plan = _plan(listening, host, [_with_locks(each, locks) for each in services], notes)
        for descriptor in (*locks, listening.fileno()):
            os.set_inheritable(descriptor, True)
        os.environ["HOLDFAST_PLAN"] = json.dumps(asdict(plan))
        bounded_output.flush()
        os.execv(sys.executable, [sys.executable, MANAGE, "supervise"])  # noqa: S606


def _with_locks(service: Service, locks: list[int]) -> Service:
    """Let the process inherit the data folder's lock: config/supervise/data_folder.py."""
    return replace(service, pass_fds=[*service.pass_fds, *locks])


def _prepare(listening: socket.socket, workers: int) -> tuple[list[Service], list[str]]:
    prepare.without_pool()
    services: list[Service] = []
    notes: list[str] = []
    if settings.EMBEDDED_REDIS:
        services.append(redis_service())
    else:
        notes += check_given_redis()
    if _needs_model():
        services.append(_model())
    if settings.LOCAL_SPEECH and os.environ.get("HOLDFAST_BOOTSTRAP") != "False":
        bootstrap.install(["speech"])
    _check()
    prepare.migrate()
    notes += [f"{m.msg} {m.hint} ({m.id})" for m in key_messages()]
    notes += administrators.notes()
    connection.close()
    prepare.collect_static()
    services += [_web(listening), *(_worker(number) for number in range(1, workers + 1))]
    return services, notes


def _check() -> None:
    for problem in [*run_checks(), *check_door(None), *check_usable_model(None)]:
        if problem.level >= ERROR and not problem.is_silenced():
            hint = f" {problem.hint}" if problem.hint else ""
            raise ImproperlyConfigured(f"({problem.id}) {problem.msg}{hint}")


def _needs_model() -> bool:
    if not settings.EMBEDDED_MODEL or settings.EMBEDDED_MODEL_URL:
        return False
    choice, ollama = settings.EMBEDDED_MODEL_CHOICE, settings.OLLAMA_HOST
    return not (choice == "auto" and not ollama and _ollama_has_models())


def _ollama_has_models() -> bool:
    """Whether Ollama runs on its usual port; its models are better than the embedded one."""
    try:
        with urlopen(f"http://127.0.0.1:{OLLAMA_PORT}/api/tags", timeout=1) as response:
            return bool(json.load(response).get("models"))
    except (OSError, ValueError):
        return False


def _model() -> Service:
    """Installs the embedded model if it is missing; passes its address on to web and workers."""
    if os.environ.get("HOLDFAST_BOOTSTRAP") != "False":
        bootstrap.install(["model"])
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    os.environ["HOLDFAST_EMBEDDED_MODEL_URL"] = f"http://127.0.0.1:{port}/v1"
    os.environ["HOLDFAST_EMBEDDED_MODEL_KEY"] = secrets.token_urlsafe()
    return Service(
        name="model",
        argv=[sys.executable, MANAGE, "model", "--port", str(port)],
        ready=["http", port, "/health"],
        stage=1,
        stop_within_s=MODEL_STOP_S,
        env=embedded_libgomp.environment(settings.DATA_DIR),
    )


def _web(listening: socket.socket) -> Service:
    return Service(
        name="web",
        argv=[sys.executable, MANAGE, "web", "--fd", str(listening.fileno())],
        ready=["pipe"],
        stage=2,
        stop_within_s=WEB_STOP_S,
        reloads=True,
        pass_fds=[listening.fileno()],
    )


def _worker(number: int) -> Service:
    return Service(
        name=f"worker-{number}",
        argv=[sys.executable, MANAGE, "work"],
        ready=["pipe"],
        stage=2,
        stop_within_s=WORKER_STOP_S,
        reloads=True,
    )


def _plan(listening: socket.socket, host: str, services: list[Service], notes: list[str]) -> Plan:
    port = listening.getsockname()[1]
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
    reached_by = everywhere.get(host, host)
    shown = f"[{reached_by}]" if ":" in reached_by else reached_by
    os.environ["HOLDFAST_DATA"] = str(settings.DATA_DIR)
    os.environ["HOLDFAST_SUPERVISED"] = "True"
    return Plan(
        services=services,
        url=settings.URL or f"http://{shown}:{port}",
        host=reached_by,
        port=port,
        run_path=str(data_folder.run_path(Path(settings.DATA_DIR))),
        title=_title(),
        notes=notes,
    )


def _title() -> str:
    database = "SQLite" if not settings.DATABASE_URL else "the database of DATABASE_URL"
    redis = "embedded Redis" if settings.EMBEDDED_REDIS else "the Redis of REDIS_URL"
    model = ", the embedded model" if settings.EMBEDDED_MODEL else ""
    return f"Holdfast: data in {settings.DATA_DIR}; {redis}, {database}{model}"
