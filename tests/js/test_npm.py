"""If npm cannot fetch the packages, one line says why, and nothing is left half installed."""

import json

import pytest

from tests import npm

LOCKED = {
    "lockfileVersion": 3,
    "packages": {
        "": {"dependencies": {"left": "1.0.0"}},
        "node_modules/left": {"version": "1.0.0", "integrity": "sha512-" + "A" * 86 + "=="},
    },
}


def test_a_registry_that_cannot_be_reached_is_named_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": {"left": "1.0.0"}}))
    (tmp_path / "package-lock.json").write_text(json.dumps(LOCKED))
    with pytest.raises(npm.NotInstalledError, match=r"127\.0\.0\.1:1") as refused:
        npm.installed(tmp_path)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "node_modules").exists()
