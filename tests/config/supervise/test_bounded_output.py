"""Output that nobody reads: processes continue, and a note says how much was dropped."""

import contextlib
import http.client
import os
import re
import select
import socket
import subprocess
import sys
import threading

import pytest

from config.supervise.bounded_output import BoundedWriter
from tests.stack import BASE_DIR, MANAGE, clean_environment, wait_for


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def drain(reader):
    """Everything in the pipe, and everything that arrives within half a second."""
    read = b""
    while select.select([reader], [], [], 0.5)[0]:
        data = os.read(reader, 65_536)
        if not data:
            break
        read += data
    return read


@pytest.mark.parametrize("blocking", [True, False])
def test_all_that_is_read_arrives_in_order(pipe, blocking):
    reader, writer = pipe
    os.set_blocking(writer, blocking)
    output = BoundedWriter(writer)
    lines = [b"%d %s\n" % (number, b"x" * (number % 700)) for number in range(1_500)]
    read = []
    thread = threading.Thread(target=lambda: read.append(drain(reader)))
    thread.start()
    for line in lines:
        output.write(line)
    assert output.flush(30)
    thread.join()
    assert read[0] == b"".join(lines)


def test_what_is_not_read_is_dropped_and_told(pipe):
    reader, writer = pipe
    output = BoundedWriter(writer, limit_bytes=100_000)
    for number in range(20_000):
        output.write(b"%05d %s\n" % (number, b"x" * 93))
    assert not output.flush(0.1)
    wait_for(lambda: b"were dropped" in drain(reader) or output.dropped_bytes == 0)
    output.write(b"later\n")
    assert output.flush(30)
    assert b"later\n" in drain(reader)


def test_the_amount_is_exact(pipe):
    reader, writer = pipe
    output = BoundedWriter(writer, limit_bytes=100_000)
    for _ in range(4_000):
        output.write(b"x" * 99 + b"\n")
    read = drain(reader)
    told = int(re.search(rb"(\d+) bytes of output were dropped", read)[1])
    assert told + read.count(b"x") + read.count(b"x\n") == 400_000


def test_a_reader_that_has_gone_costs_nothing(pipe):
    reader, writer = pipe
    os.close(reader)
    output = BoundedWriter(writer)
    for _ in range(50_000):
        output.write(b"x" * 100)
    assert output.flush(30)
    assert output.dropped_bytes == 0


def test_many_threads_and_a_destructor_that_prints(pipe):
    reader, writer = pipe
    output = BoundedWriter(writer)

    class Talkative(list):
        def __del__(self):
            output.write(b"gone\n")

    def talk():
        for _ in range(500):
            ring = Talkative()
            ring.append(ring)
            output.write(b"here\n")

    threads = [threading.Thread(target=talk) for _ in range(8)]
    for thread in threads:
        thread.start()
    read = drain(reader)
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert (read + drain(reader)).count(b"here\n") == 4_000


# In a process

PROGRAM = """
import logging, os, sys, time, warnings
from config.supervise import bounded_output
bounded_output.install()
logging.basicConfig(level="INFO")
for number in range(20_000):
    logging.info("line %d %s", number, "x" * 80)
    print("printed", number)
sys.stderr.buffer.write(b"bytes\\n")
warnings.warn("a warning")
open(sys.argv[1], "w").close()
raise ValueError("the end")
"""


def run(done, stdout, program=PROGRAM, **options):
    return subprocess.Popen(
        [sys.executable, "-c", program, str(done)],
        cwd=BASE_DIR,
        env=clean_environment(),
        stdout=stdout,
        stderr=stdout,
        **options,
    )


def test_a_process_ends_though_nobody_reads(pipe, tmp_path):
    process = run(tmp_path / "done", pipe[1])
    assert process.wait(60) == 1
    assert (tmp_path / "done").exists()


def test_a_process_ends_as_ever_though_its_reader_has_gone(pipe, tmp_path):
    reader, writer = pipe
    process = run(tmp_path / "done", writer)
    os.close(reader)
    assert process.wait(60) == 1
    assert (tmp_path / "done").exists()


def test_all_of_it_is_there_when_it_is_read(tmp_path):
    # This fits into the queue, so a slow disk loses nothing.
    program = PROGRAM.replace("20_000", "3_000")
    with (tmp_path / "log").open("w+") as log:
        assert run(tmp_path / "done", log, program).wait(60) == 1
        text = (tmp_path / "log").read_text()
    assert len(re.findall(r"^INFO:root:line \d+ x{80}$", text, re.MULTILINE)) == 3_000
    assert len(re.findall(r"^printed \d+$", text, re.MULTILINE)) == 3_000
    assert text.index("bytes\n") < text.index("a warning") < text.index("ValueError: the end")
    assert "dropped" not in text


def test_a_process_without_stdout_prints_into_no_file_of_its_own(tmp_path):
    program = (
        "import os, sys; from config.supervise import bounded_output; bounded_output.install()\n"
        "file = open(sys.argv[1], 'w'); print('lost'); sys.stderr.write('lost too')\n"
        "assert file.fileno() > 2; file.write('kept')"
    )
    command = f'exec "{sys.executable}" -c "$0" "$1" <&- >&- 2>&-'
    done = subprocess.run(
        ["sh", "-c", command, program, str(tmp_path / "file")],
        cwd=BASE_DIR,
        env=clean_environment(),
    )
    assert done.returncode == 0
    assert (tmp_path / "file").read_text() == "kept"


# In Holdfast's processes


def full(writer):
    """Fills the pipe, so that not one more byte fits."""
    os.set_blocking(writer, False)
    for size in (65_536, 1):
        with contextlib.suppress(BlockingIOError):
            while os.write(writer, b"x" * size):
                pass
    os.set_blocking(writer, True)


def ask(port, path, host):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


def answers(port):
    with contextlib.suppress(OSError):
        return ask(port, "/healthz", "localhost") == 200
    return False


def test_the_web_process_answers_and_ends_though_nobody_reads_its_log(pipe, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    full(pipe[1])
    process = subprocess.Popen(
        [sys.executable, MANAGE, "web", "--port", str(port)],
        cwd="/",
        env=clean_environment(HOLDFAST_DATA=str(tmp_path), HOLDFAST_SUPERVISED="True"),
        stdout=pipe[1],
        stderr=pipe[1],
    )
    try:
        wait_for(lambda: answers(port), 60)
        for _ in range(20):  # Each request is logged.
            assert ask(port, "/", "unknown.example") == 400
        assert answers(port)
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
