"""Waits for the data that the browser stores of a person, and reads it."""

import json

from playwright.sync_api import Page

from tests.stack import wait_for

# Returns all stored data as one text; it is empty if nothing is stored.
KEPT = """async () => {
  const found = await indexedDB.databases();
  const parts = Object.entries(localStorage).map((pair) => pair.join("="));
  for (const { name } of found) {
    const database = await new Promise((resolve, reject) => {
      const request = indexedDB.open(name);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    for (const store of database.objectStoreNames) {
      const all = database.transaction(store).objectStore(store).getAll();
      await new Promise((resolve) => (all.onsuccess = resolve));
      if (all.result.length) parts.push(JSON.stringify(all.result));
    }
    database.close();
  }
  return parts.join("\\n");
}"""
SHELL_READY = """async () => {
  await navigator.serviceWorker.ready;
  for (;;) {
    for (const name of await caches.keys()) {
      if (await (await caches.open(name)).match("/shell")) return;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}"""


def shell_ready(page: Page) -> None:
    page.evaluate(SHELL_READY)
    page.wait_for_function("() => navigator.serviceWorker.controller !== null")


def is_kept(page: Page, *parts: str) -> None:
    """Waits until the stored data contains all of these texts."""

    def has_all() -> bool:
        kept = page.evaluate(KEPT)
        return all(part in kept for part in parts)

    wait_for(has_all, 20)


def chat_is_kept(page: Page) -> None:
    """Waits until the chat on the page, its last answer and the list are stored."""
    shell_ready(page)
    title = page.locator(".topbar-title").inner_text()
    text = page.locator(".message-answer .md").last.inner_text()
    is_kept(page, json.dumps(text)[1:-1], f'"title":{json.dumps(title)},"model"')
