import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

// What a browser has and node has not.
let shown = [];
const asked = [];
const registration = {
  showNotification: (title, options) => shown.push({ title, tag: options.tag, close() { shown = shown.filter((one) => one !== this); } }),
  getNotifications: () => shown,
};
const browser = { permission: "granted", requestPermission: async () => (asked.push("permission"), answer) };
let answer = "granted";
globalThis.Notification = browser;
Object.defineProperty(globalThis, "navigator", { value: { serviceWorker: { getRegistration: async () => registration } } });
globalThis.document = { documentElement: { dataset: {}, lang: "en" }, querySelector: () => null, querySelectorAll: () => [] };
const stored = new Map();
globalThis.localStorage = { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, value) };

const { closeNotifications, notifyOfEnd, offerNotifications } = await import("../../static/js/chat/notifications.js");
const { takePreferences } = await import("../../static/js/chat/preferences.js");
const toasts = { items: [], show(message, options) { this.items.push({ message, ...options }); } };

beforeEach(() => {
  shown = [];
  asked.length = toasts.items.length = 0;
  stored.clear();
  browser.permission = "granted";
  takePreferences(null);
});

test("an end is shown where the browser and the person allow it", async () => {
  await notifyOfEnd({ id: "a", title: "A chat" });
  assert.deepEqual(shown.map(({ title, tag }) => [title, tag]), [["A chat", "a"]]);
  takePreferences({ answer_notifications: false });
  await notifyOfEnd({ id: "b", title: "B" });
  takePreferences(null);
  browser.permission = "denied";
  await notifyOfEnd({ id: "c", title: "C" });
  assert.deepEqual(shown.map(({ tag }) => tag), ["a"]);
});

test("only the notifications of chats that were seen are removed", async () => {
  for (const id of ["a", "b", "c"]) await notifyOfEnd({ id, title: id });
  await closeNotifications(["b"]);
  assert.deepEqual(shown.map(({ tag }) => tag), ["a", "c"]);
  await closeNotifications();
  assert.deepEqual(shown, []);
});

test("permission is offered once, and asked for only when the person accepts", async () => {
  const allowed = [];
  const onAllowed = () => allowed.push(true);
  offerNotifications(toasts, onAllowed);
  browser.permission = "default";
  takePreferences({ answer_notifications: false });
  offerNotifications(toasts, onAllowed);
  assert.deepEqual(toasts.items, [], "answered before, or not wanted");
  takePreferences(null);
  offerNotifications(toasts, onAllowed);
  offerNotifications(toasts, onAllowed);
  assert.equal(toasts.items.length, 1);
  assert.deepEqual(asked, []);
  for (answer of ["denied", "granted"]) {
    toasts.items[0].run();
    await new Promise((done) => setTimeout(done));
  }
  assert.deepEqual(asked, ["permission", "permission"]);
  assert.deepEqual(allowed, [true], "only when it was granted");
});
