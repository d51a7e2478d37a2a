"""Python imports this module when a process starts, because its folder is in PYTHONPATH."""

import gc
import json
import os
import sys
import threading
import time
from collections import deque
from pathlib import Path

TICK_S = 0.002
LOOK_S = 0.004
FRAMES = 6


class Watch:
    """Measures the CPU time between two ticks of a loop, which runs them between its turns."""

    def __init__(self, loop, path, least_s):
        self._loop, self._path, self._least_s = loop, path, least_s
        self._thread = threading.get_ident()
        self._began = time.thread_time()
        self._places = []
        self._long = deque()
        self._collecting_since = 0.0
        self._loop.call_soon(self._tick)
        gc.callbacks.append(self._collect)
        threading.Thread(target=self._look, name="loop-watch", daemon=True).start()

    def _tick(self):
        now = time.thread_time()
        if now - self._began > self._least_s:
            self._long.append((time.time(), now - self._began, " | ".join(self._places)))
        self._began, self._places = now, []
        self._loop.call_later(TICK_S, self._tick)

    def _collect(self, phase, info):
        """Names the garbage collections that took a share of the turn."""
        if threading.get_ident() != self._thread:
            return
        now = time.thread_time()
        if phase == "start":
            self._collecting_since = now
        elif now - self._collecting_since > LOOK_S:
            took_ms = 1000 * (now - self._collecting_since)
            self._places.append(f"collected generation {info['generation']} in {took_ms:.0f} ms")

    def _look(self):
        clock = time.pthread_getcpuclockid(self._thread)
        while True:
            time.sleep(LOOK_S)
            places = self._places
            if time.clock_gettime(clock) - self._began > self._least_s * (len(places) + 1):
                places.append(place_of(sys._current_frames().get(self._thread)))
            while self._long:
                self._write(*self._long.popleft())

    def _write(self, ended_s, cpu_s, place):
        turn = {"pid": os.getpid(), "ended_s": ended_s, "cpu_ms": 1000 * cpu_s, "place": place}
        with self._path.open("a") as out:
            out.write(json.dumps(turn) + "\n")


def place_of(frame):
    names = []
    while frame and len(names) < FRAMES:
        names.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(names)


def watch_loops(folder, least_ms):
    import uvloop

    run_forever = uvloop.Loop.run_forever

    def watched(loop):
        if threading.current_thread() is threading.main_thread():
            Watch(loop, Path(folder, f"{os.getpid()}.turns"), least_ms / 1000)
        return run_forever(loop)

    uvloop.Loop.run_forever = watched


if "HOLDFAST_LOOP_TURNS" in os.environ and {"web", "work"} & set(sys.orig_argv[:4]):
    watch_loops(
        os.environ["HOLDFAST_LOOP_TURNS"], float(os.environ["HOLDFAST_LOOP_TURNS_LEAST_MS"])
    )
