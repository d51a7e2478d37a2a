"""The first start with a bare Python: the environment that it makes, and its error messages."""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from config.supervise.bootstrap import LOCKS

BASE_DIR = Path(__file__).resolve().parents[3]
ENTER = (
    "import sys; sys.path.insert(0, {folder!r})\n"
    "from config.supervise import bootstrap\n"
    "try: bootstrap.install(['run'])\n"
    "except bootstrap.BootstrapError as error: sys.exit('holdfast: %s' % error)"
)


@pytest.fixture
def fresh(tmp_path):
    """A copy of the files that run first, with a lock file of one package that pip has offline."""
    folder = tmp_path / "holdfast"
    (folder / "config" / "supervise").mkdir(parents=True)
    (folder / "config" / "__init__.py").touch()
    (folder / "config" / "supervise" / "__init__.py").touch()
    shutil.copy(BASE_DIR / "config" / "supervise" / "bootstrap.py", folder / "config" / "supervise")
    shutil.copy(BASE_DIR / "manage.py", folder)
    digest = _wheel(folder / "wheels")
    (folder / "requirements.lock").write_text(f"tinypack==1.0 --hash=sha256:{digest}\n")
    return folder


def _wheel(folder):
    """Makes a real wheel; returns its digest."""
    folder.mkdir()
    info = "tinypack-1.0.dist-info"
    files = {
        "tinypack.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tinypack\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [
        f"{name},sha256={urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()},"
        for name, text in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"])
    path = folder / "tinypack-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def environment(folder, **more):
    """Variables without a home and pip settings; packages come from the folder alone."""
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    return {"PATH": "/usr/bin:/bin", **pip, "PIP_FIND_LINKS": str(folder / "wheels"), **more}


def install(folder, python=sys.executable, **more):
    return subprocess.run(
        [python, "-I", "-c", ENTER.format(folder=str(folder))],
        cwd="/",
        env=environment(folder, **more),
        capture_output=True,
        text=True,
    )


def has_package(folder):
    command = [str(folder / ".venv/bin/python"), "-c", "import tinypack"]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_starts_at_once_make_one_environment_and_later_ones_use_it(fresh):
    command = [sys.executable, "-I", "-c", ENTER.format(folder=str(fresh))]
    starts = [
        subprocess.Popen(command, env=environment(fresh), stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [start.communicate()[1] for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], outputs
    assert sum("Making the virtual environment" in output for output in outputs) == 1
    assert has_package(fresh)
    later = install(fresh)
    assert (later.returncode, later.stderr) == (0, "")
    # An interrupted install leaves its marker: that environment is deleted.
    (fresh / ".venv" / "holdfast-install-unfinished").touch()
    (fresh / ".venv" / "half-written").touch()
    repaired = install(fresh)
    assert repaired.returncode == 0, repaired.stderr
    assert has_package(fresh)
    assert not (fresh / ".venv" / "half-written").exists()


def test_a_failed_install_says_why_in_one_line_and_a_changed_lock_is_installed(fresh):
    venv.create(
        fresh / ".venv", with_pip=True
    )  # An environment made by a person: it is used, not replaced.
    (fresh / ".venv" / "theirs").touch()
    lock = fresh / "requirements.lock"
    good = lock.read_text()
    error = one_line(install(fresh, PIP_FIND_LINKS="/nowhere"))  # As if the machine were offline.
    assert error.startswith("holdfast: requirements.lock could not be installed")
    (fresh / ".venv" / "holdfast-install-unfinished").unlink()
    lock.write_text("tinypack==1.0 --hash=sha256:" + "0" * 64)
    assert "not the one that was locked" in one_line(install(fresh))
    (fresh / ".venv" / "holdfast-install-unfinished").unlink()
    lock.write_text(good)
    assert install(fresh).returncode == 0
    assert has_package(fresh)
    assert (fresh / ".venv" / "theirs").exists()


def test_without_its_lock_files_it_touches_no_environment(fresh):
    """A copy in which files were moved may name an environment that another copy uses."""
    python = fresh / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (fresh / "requirements.lock").unlink()
    for marker in ("", "holdfast-install-unfinished"):  # A marked environment is created again.
        if marker:
            (fresh / ".venv" / marker).touch()
        before = files_of(fresh / ".venv")
        refused = install(fresh)
        assert one_line(refused).startswith(f"holdfast: {fresh}/requirements.lock is missing")
        assert len(refused.stderr.splitlines()) == 1
        assert files_of(fresh / ".venv") == before
        assert not (fresh / ".venv.lock").exists()


def files_of(folder):
    return {str(path): path.lstat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


def one_line(done):
    """The error message of a refused start, after its progress."""
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("holdfast:")]
    assert done.stderr.strip().endswith(line)
    return line


def run_with(folder, lines):
    """Runs manage.py in a Python that `lines` have changed."""
    code = f"{lines}\nimport runpy; sys.argv = ['manage.py', 'up']\n"
    code += f"runpy.run_path({str(folder / 'manage.py')!r}, run_name='__main__')"
    command = [sys.executable, "-I", "-c", code]
    return subprocess.run(command, env=environment(folder), capture_output=True, text=True)


def test_a_wrong_python_is_told_which_to_use(fresh):
    done = run_with(fresh, "import sys; sys.version_info = (3, 9, 2, 'final', 0)")
    assert done.returncode == 1
    assert done.stderr.startswith("holdfast: Holdfast needs Python 3.11 to 3.13, and this is 3.9.2")
    assert len(done.stderr.splitlines()) == 1


def test_a_python_without_venv_is_told_what_to_install(fresh):
    done = run_with(fresh, "import sys; sys.modules['ensurepip'] = None")
    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr.splitlines()[-1]


def test_what_runs_first_is_readable_to_old_pythons():
    import ast

    for name in ("manage.py", "config/supervise/bootstrap.py", "config/__init__.py"):
        ast.parse((BASE_DIR / name).read_text(), feature_version=(3, 6))


def test_locks_name_hashes_and_no_address():
    for lock, _ in LOCKS.values():
        text = (BASE_DIR / lock).read_text()
        assert text.count("--hash=sha256:") >= text.count("==") > 0
        assert not any(word in text for word in ("://", "--index", "--find-links", " @ "))
