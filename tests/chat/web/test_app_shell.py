"""The shell, the service worker and the manifest: the same for everybody, new with each build."""

import json
import re

import pytest

from chat.web import app_shell

# import x from "./y.js"; export * from "./y.js"; import "./y.js"
AT_ONCE = re.compile(r"""(?:\bfrom|^import) ?"(\.[^"]+)";""", re.MULTILINE)

pytestmark = pytest.mark.django_db(transaction=True)


async def test_the_shell_has_no_personal_data(no_worker, alice):
    await alice.send("Secret plans")
    answer = await alice.client.get("/shell")
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "Secret" not in page and alice.user["id"] not in page
    assert answer.cookies == {}
    assert '"shell": true' in page


async def test_the_worker_controls_all_pages_and_is_revalidated(no_worker, alice):
    answer = await alice.client.get("/service-worker.js")
    assert answer["Content-Type"].startswith("text/javascript")
    assert answer["Cache-Control"] == "no-cache"
    build = json.loads(re.match(r"const BUILD = (.*);", answer.content.decode())[1])
    assert build["keeps"] and "/static/js/chat/main.js" in build["assets"]
    # Modules that are imported on demand must be available offline too.
    for late in (
        "ui/dialogs/palette.js",
        "ui/dialogs/shortcut_sheet.js",
        "markdown/view.js",
        "ui/messages/transcript.js",
    ):
        assert f"/static/js/chat/{late}" in build["assets"]
    assert len(set(build["assets"])) == len(build["assets"])
    assert "worker-src 'self'" in (await alice.visit())["Content-Security-Policy"]


@pytest.mark.parametrize("chat", [False, True])
def test_without_a_bundle_the_page_names_every_module_that_it_loads(chat):
    names = ["js/chat/main.js"]
    if chat:
        names += ["js/chat/ui/messages/conversation.js", "js/chat/markdown/lazy_markdown.js"]
    for name in names:  # It grows.
        folder = (app_shell.STATIC / name).parent
        for path in AT_ONCE.findall((app_shell.STATIC / name).read_text()):
            imported = (folder / path).resolve().relative_to(app_shell.STATIC).as_posix()
            if imported not in names:
                names.append(imported)
    named = re.findall(r'(?:href|src)="/static/([^"]+)"', app_shell.module_links(chat=chat))
    assert sorted(named) == sorted(names)


def test_a_changed_page_changes_the_build(monkeypatch):
    before, _ = app_shell._make_build()
    assert app_shell._make_build()[0] == before
    real = app_shell.render_to_string
    monkeypatch.setattr(app_shell, "render_to_string", lambda *args: real(*args) + "<!-- new -->")
    assert app_shell._make_build()[0] != before


async def test_the_manifest_names_icons_that_are_there(no_worker, alice, settings):
    answer = await alice.client.get("/manifest.webmanifest")
    assert answer["Content-Type"] == "application/manifest+json"
    manifest = answer.json()
    assert manifest["start_url"] == "/" and manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        name = icon["src"].removeprefix("/static/")
        assert (settings.BASE_DIR / "static" / name).is_file()
    assert {icon["purpose"] for icon in manifest["icons"]} == {"any", "maskable"}
