"""Runs the supervisor as a real process, with small children that files in a folder control."""

import json
import os
import re
import signal
import subprocess
import sys
import threading

import psutil

from tests.stack import BASE_DIR, clean_environment, wait_for

# Each child first writes its pid to a file. Files in the folder say how the next ones behave.
CHILD = """
import os, signal, sys, time
name, folder = sys.argv[1:]
with open(f"{folder}/started", "a") as file:
    file.write(f"{os.getpid()}\\n")
if os.path.exists(f"{folder}/crash"):
    sys.exit(3)
if os.path.exists(f"{folder}/deaf"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.path.exists(f"{folder}/slow"):
    time.sleep(1.5)
while os.path.exists(f"{folder}/hang"):
    time.sleep(0.02)
if os.path.exists(f"{folder}/flood"):
    for number in range(300):
        try:
            os.write(1, (b"x" * 100 + b"\\n") * 100)
        except BlockingIOError:
            time.sleep(0.01)
os.write(int(os.environ["HOLDFAST_READY_FD"]), b"ready\\n")
while True:
    signal.pause()
"""
SUPERVISE = """
import asyncio, json, os, sys
from config.supervise import bounded_output, child, supervisor
child.REPLACE_READY_S = {ready_s}
supervisor.FIRST_RETRY_S = {retry_s}
bounded_output.install()
plan = json.loads(os.environ.pop("HOLDFAST_PLAN"))
plan["services"] = [child.Service(**each) for each in plan["services"]]
it = supervisor.Supervisor(supervisor.Plan(**plan), watched={watched})
sys.exit(asyncio.run(it.run()))
"""


def eventually(condition):
    """Waits without a tight deadline, because the machine may be busy."""
    wait_for(condition, 120)


class Supervised:
    def __init__(
        self, folder, *, names=("web", "worker-1"), ready_s=60, retry_s=600, watched=False
    ):
        self.folder = folder
        self.names = names
        self.lines = []
        self.code = SUPERVISE.format(ready_s=ready_s, retry_s=retry_s, watched=watched)
        self.python = sys.executable
        self.process = self.reader = None

    def launch(self, stdout=subprocess.PIPE):
        plan = {
            "services": [self._service(name) for name in self.names],
            "url": "http://localhost",
            "host": "127.0.0.1",
            "port": 9,
            "run_path": str(self.folder / "run.json"),
            "title": "small",
            "notes": [],
        }
        self.process = subprocess.Popen(
            [self.python, "-c", self.code],
            cwd=BASE_DIR,
            env=clean_environment(HOLDFAST_PLAN=json.dumps(plan)),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
        )
        if stdout == subprocess.PIPE:
            self.reader = threading.Thread(target=self._read, daemon=True)
            self.reader.start()

    def start(self):
        self.launch()
        eventually(lambda: self.output.count("| ready") == len(self.names))
        return self

    def _service(self, name):
        return {
            "name": name,
            "argv": [sys.executable, "-ISE", "-c", CHILD, name, str(self.folder)],
            "ready": ["pipe"],
            "stage": 1,
            "stop_within_s": 1.0,
            "reloads": True,
        }

    def _read(self):
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line.decode().rstrip())

    @property
    def output(self):
        return "\n".join(self.lines)

    def said(self, pattern, times=1):
        eventually(lambda: len(re.findall(pattern, self.output)) >= times)

    def send(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.send(signal.SIGTERM)
        return self.process.wait(120)

    def behave(self, how, wanted=True):
        path = self.folder / how
        path.touch() if wanted else path.unlink(missing_ok=True)

    def started(self):
        path = self.folder / "started"
        return {int(line) for line in path.read_text().split()} if path.exists() else set()

    def alive(self):
        return {pid for pid in self.started() if is_alive(pid)}

    def hurt(self, choices):
        if victims := sorted(self.alive()):
            os.kill(choices.choice(victims), choices.choice([signal.SIGKILL, signal.SIGTERM]))

    def known(self):
        """The recorded pids by name; empty while nothing is recorded."""
        path = self.folder / "run.json"
        children = json.loads(path.read_text())["children"] if path.exists() else {}
        return {name: pid for name, (pid, _) in children.items()}

    def pid(self, name):
        return self.known()[name]


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
