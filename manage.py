#!/usr/bin/env python3
"""Holdfast's entry point: `manage.py up` starts everything, `manage.py help` lists the rest.

Runs under any Python 3, from any folder: every command first enters the virtual environment beside
this file, and creates it if it is missing (config/supervise/bootstrap.py).
"""

import os
import sys

BASE_DIR = os.path.dirname(os.path.abspath(__file__))


def main() -> None:
    sys.path.insert(0, BASE_DIR)
    from config.supervise import bootstrap

    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command == "up":
        outlive_hang_ups()
    groups = {"test": ["run", "test", "model", "speech"], "conformance": ["run", "test"]}
    names = groups.get(command, ["run"])
    try:
        bootstrap.enter(names, [os.path.join(BASE_DIR, "manage.py")] + sys.argv[1:])
    except bootstrap.BootstrapError as error:
        sys.exit(f"holdfast: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    run()


def outlive_hang_ups() -> None:
    """Ignores SIGHUP while `up` starts: a deploy has nothing to replace yet. At a terminal SIGHUP
    ends it as usual. The supervisor inherits this by `exec` until it sets a handler of its own."""
    import signal

    try:
        is_terminal = os.isatty(0)
    except OSError:
        is_terminal = False
    if not is_terminal:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


# These processes never wait for a reader of their output and log lines.
NEVER_WAIT = ("up", "web", "work")


def run() -> None:
    if sys.argv[1:2] == ["test"]:
        from tests.runner.run import main as test

        sys.exit(test(sys.argv[2:]))
    if sys.argv[1:2] == ["supervise"]:  # `up` becomes it by `exec`; it does not load Django.
        from config.supervise.supervisor import main as supervise

        supervise()
    if sys.argv[1:2] and sys.argv[1] in NEVER_WAIT:
        from config.supervise import bounded_output, process_memory

        bounded_output.install()  # Before the settings, because log handlers keep the stream.
        process_memory.begin_start()
    take_data_option()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from environs import EnvError

    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, EnvError) as error:
        sys.exit(f"holdfast: {error}")
    except KeyboardInterrupt:  # Ctrl-C before anything was started.
        sys.exit(130)


def take_data_option() -> None:
    """Applies --data before Django reads options, because the settings are read even earlier."""
    for position, option in enumerate(sys.argv[2:], start=2):
        value = sys.argv[position + 1 : position + 2] if option == "--data" else []
        if option.startswith("--data="):
            value = [option[len("--data=") :]]
        if value:
            os.environ["HOLDFAST_DATA"] = os.path.abspath(value[0])


if __name__ == "__main__":
    main()
