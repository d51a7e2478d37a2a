// Shows the app shell without the network. chat/web/app_shell.py puts `BUILD` before this script, so the
// worker differs with each build, and a new one takes over as soon as its files are loaded.
//
// Pages come from the network whenever there is one, so the app is never stale. Files named by their
// content never change and come from the cache. Nothing about a person is cached: neither pages, except
// the shell, which is the same for everybody, nor responses of the API.

const PREFIX = "holdfast-";
const CACHE = PREFIX + BUILD.id;
const SHELL = "/shell";
const CHAT_PAGES = /^\/(?:c\/[0-9a-f-]{36})?$/;
// The status codes of a proxy whose server is unreachable.
const AWAY = new Set([502, 503, 504]);

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(showChat(event.notification.data.chat));
});
self.addEventListener("push", (event) => event.waitUntil(tellOfEnd(event.data.json())));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin || !BUILD.keeps) return;
  if (request.mode === "navigate")
    event.respondWith(CHAT_PAGES.test(url.pathname) ? page(event) : asked(event));
  else if (url.pathname.startsWith(BUILD.static)) event.respondWith(file(request));
});

/** An answer has ended (chat/generation/end_notices.py). A page that is in view shows that by itself. */
async function tellOfEnd({ chat, title, body }) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (pages.some((each) => each.visibilityState === "visible")) return;
  await self.registration.showNotification(title, { body, tag: chat, icon: BUILD.icon, data: { chat } });
}

/** Show a chat in a page that is open, preferably one that shows it already, or in a new one. */
async function showChat(chat) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const pathOf = (each) => new URL(each.url).pathname;
  const client = pages.find((each) => pathOf(each) === `/c/${chat}`) ?? pages.find((each) => CHAT_PAGES.test(pathOf(each)));
  if (!client) return self.clients.openWindow(`/c/${chat}`);
  client.postMessage({ openChat: chat });
  return client.focus();
}

async function install() {
  if (BUILD.keeps) {
    const cache = await caches.open(CACHE);
    // The HTTP cache may have the shell of an earlier build.
    await cache.add(new Request(SHELL, { cache: "no-store", credentials: "omit" }));
    await cache.addAll(BUILD.assets);
  }
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  // With preload, the request for a page does not wait until this worker has started.
  await self.registration.navigationPreload?.[BUILD.keeps ? "enable" : "disable"]();
  await self.clients.claim();
}

// Used for every page, cached or not. The browser repeats a preloaded request whose response is not
// used here, and the callback address of a sign-in provider works only once.
const asked = async (event) => (await event.preloadResponse) ?? fetch(event.request);

async function page(event) {
  try {
    const response = await asked(event);
    return AWAY.has(response.status) ? ((await shell()) ?? response) : response;
  } catch (error) {
    const kept = await shell();
    if (kept) return kept;
    throw error;
  }
}

const shell = async () => (await caches.open(CACHE)).match(SHELL);

async function file(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request.url);
  if (kept) return kept;
  const response = await fetch(request);
  // A full cache must not prevent the response.
  if (response.status === 200) cache.put(request.url, response.clone()).catch(() => {});
  return response;
}
