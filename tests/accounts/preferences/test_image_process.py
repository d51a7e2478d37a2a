"""The process that decodes pictures: its limits, and what happens when it fails."""

import dataclasses
import io
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
from PIL import Image

from accounts import errors
from accounts.child_process import run as child_process
from accounts.preferences import image_process
from accounts.preferences.image_process import LIMITS, ImageBusy, ImageRefused, Task, shrink
from accounts.preferences.pictures import read_picture
from tests.accounts.preferences import images

TASK = Task(sizes=(64,))


def refused(data, task=TASK, **limits):
    with pytest.raises(ImageRefused) as error:
        shrink(data, task, dataclasses.replace(LIMITS, **limits))
    return error.value.reason


def size_of(data):
    return Image.open(io.BytesIO(data)).size


@pytest.fixture
def other_child(tmp_path, monkeypatch):
    """Replaces the program that decodes pictures."""

    def put(program):
        path = tmp_path / "child.py"
        path.write_text(program)
        monkeypatch.setattr(image_process, "CHILD", path)

    return put


def test_the_whole_is_kept_where_no_square_is_wanted():
    wide = images.plain("JPEG", size=(3_000, 1_000))
    large, small = shrink(wide, Task(sizes=(1_024, 256), square=False))
    assert (size_of(large), size_of(small)) == ((1_024, 341), (256, 85))
    [as_it_is] = shrink(images.plain(size=(30, 10)), Task(sizes=(256,), square=False))
    assert size_of(as_it_is) == (30, 10)
    [upright] = shrink(images.rotated(), Task(sizes=(40,), square=False))
    left, right = Image.open(io.BytesIO(upright)).convert("RGB").getpixel((5, 20)), (39, 20)
    assert left[2] > 150 and Image.open(io.BytesIO(upright)).convert("RGB").getpixel(right)[0] > 150


def test_this_process_does_not_grow(monkeypatch):
    """Pictures are only decoded in the other process, within its memory limit."""
    bomb, large = images.webp_bomb(), images.plain("JPEG", size=(3_000, 2_000))
    before = psutil.Process().memory_info().rss
    for data in (bomb, large):
        try:
            shrink(data, TASK)
        except ImageRefused:
            continue
    # Without the pixel limit, the memory limit still applies.
    assert refused(bomb, Task(sizes=(64,), max_pixels={"WEBP": 10**9})) == "pixels"
    assert psutil.Process().memory_info().rss - before < 20_000_000


def test_the_bound_by_pixels_is_that_of_the_format():
    pixels = {"JPEG": 500, "PNG": 100}
    task = Task(sizes=(64,), max_pixels=pixels)
    assert shrink(images.plain("JPEG", size=(20, 20)), task)
    assert refused(images.plain("PNG", size=(20, 20)), task) == "pixels"
    assert refused(images.plain("GIF", size=(2, 2)), task) == "kind"


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.kill(os.getpid(), 9)",
        "raise SystemExit(1)",
        "print('rubbish')",
        "print('[' * 100_000)",
        "print('{\"lengths\": [5]}\\nabcd', end='')",
        "print('{\"lengths\": [-1]}')",
        "print('{\"lengths\": [4]}\\nabcd', end='')",
        "print('{\"lengths\": 1}')",
        "print('{\"refused\": [1]}')",
        'print(\'{"refused": "whatever"}\')',
        "",
        "import sys; sys.stdout.write('x' * 100_000_000)",
    ],
)
def test_a_process_that_ends_otherwise_is_a_damaged_picture(other_child, program):
    other_child(program)
    with pytest.raises(errors.PictureDamaged):
        read_picture(images.plain())


def test_one_that_hangs_is_killed(other_child, monkeypatch, tmp_path):
    monkeypatch.setattr(child_process, "START_S", 0)
    pid = tmp_path / "pid"
    other_child(
        f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    assert refused(images.plain(), wall_s=2) == "damaged"
    assert not psutil.pid_exists(int(pid.read_text()))
    other_child("while True: pass")
    assert refused(images.plain(), wall_s=1) == "damaged"


def command(sizes=(64,), **limits):
    task = image_process._task_json(Task(sizes=sizes))
    return child_process.command(image_process.CHILD, [task], dataclasses.replace(LIMITS, **limits))


def test_it_ends_by_itself_when_nobody_waits_for_it():
    """Its parent may have been killed."""
    with subprocess.Popen(command(wall_s=1, cpu_s=100), stdin=subprocess.PIPE) as child:
        assert child.wait(60) == -signal.SIGALRM


def test_its_time_on_the_processor_is_limited(tmp_path):
    noise = tmp_path / "noise.jpeg"
    Image.effect_noise((4_000, 4_000), 90).convert("RGB").save(noise)
    with noise.open("rb") as picture:
        limited = command(sizes=(4_000,), wall_s=100, cpu_s=1)
        done = subprocess.run(limited, stdin=picture, stderr=subprocess.DEVNULL, timeout=60)
    assert done.returncode in (-signal.SIGXCPU, -signal.SIGKILL)


def test_it_writes_no_more_than_expected(tmp_path):
    result = tmp_path / "result"
    with result.open("wb") as out:
        limited = command(file_bytes=100)
        done = subprocess.run(
            limited, input=images.plain(), stdout=out, stderr=subprocess.DEVNULL, timeout=60
        )
    assert done.returncode != 0
    assert result.stat().st_size <= 100


def test_it_knows_no_secrets(other_child, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "secret")
    other_child(
        "import os, sys\n"
        "known = any('secret' in value for value in os.environ.values())\n"
        "files = [n for n in os.listdir('/proc/self/fd') if int(n) > 3]\n"
        "isolated = sys.flags.isolated and os.getcwd() == '/'\n"
        "print('{\"refused\": \"%s\"}' % ('damaged' if known or files or not isolated else 'kind'))"
    )
    listening = os.open("/dev/null", os.O_RDONLY)
    try:
        assert refused(b"") == "kind"
    finally:
        os.close(listening)


def test_it_imports_nothing_of_ours():
    found = subprocess.run(
        [sys.executable, "-I", "-c", "import sys, runpy; runpy.run_path(sys.argv[1]);"
         "print(*sys.modules)", image_process.CHILD],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = found.stdout.split()
    assert "PIL.Image" in names
    assert not [
        n for n in names if n.partition(".")[0] in ("django", "accounts", "config", "asyncio")
    ]


def test_few_wait_and_not_for_long(other_child, monkeypatch, tmp_path):
    go_on = tmp_path / "go-on"
    other_child(f"import os, time\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.02)")
    monkeypatch.setattr(child_process, "WAIT_S", 0.1)
    seen = []

    def ask():
        try:
            shrink(b"", TASK)
        except (ImageBusy, ImageRefused) as error:
            seen.append(type(error))

    first = threading.Thread(target=ask)
    first.start()
    while not image_process.places.running.locked():
        time.sleep(0.01)
    ask()  # This one waited.
    waiting = image_process.MAX_WAITING - 1
    assert [image_process.places.free.acquire(blocking=False) for _ in range(waiting)] == [True] * 2
    assert not image_process.places.free.acquire(blocking=False)
    monkeypatch.setattr(child_process, "WAIT_S", 10_000)
    ask()  # This one was refused at once, because too many were waiting.
    with pytest.raises(errors.PictureBusy) as busy:
        read_picture(b"")
    assert busy.value.status == 503
    image_process.places.free.release(waiting)
    go_on.touch()
    first.join()
    assert seen == [ImageBusy, ImageBusy, ImageRefused]
