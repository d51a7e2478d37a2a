// The shell of the app without the network. `BUILD` is put before this by chat/web/app_shell.py, so the
// worker differs with each build, and a new one takes over as soon as its files are here.
//
// A page always comes from the network when there is one: never a stale app. Files named by their
// content never change, so they come from the cache. Nothing of a person is kept here: no page but
// the shell, which is nobody's, and nothing of the API.

const PREFIX = "holdfast-";
const CACHE = PREFIX + BUILD.id;
const SHELL = "/shell";
const CHAT_PAGES = /^\/(?:c\/[0-9a-f-]{36})?$/;
// What a proxy says of a server that is away.
const AWAY = new Set([502, 503, 504]);

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin || !BUILD.keeps) return;
  if (request.mode === "navigate")
    event.respondWith(CHAT_PAGES.test(url.pathname) ? page(event) : asked(event));
  else if (url.pathname.startsWith(BUILD.static)) event.respondWith(file(request));
});

async function install() {
  if (BUILD.keeps) {
    const cache = await caches.open(CACHE);
    // Not from the HTTP cache: the shell of this build, whatever was read before.
    await cache.add(new Request(SHELL, { cache: "no-store", credentials: "omit" }));
    await cache.addAll(BUILD.assets);
  }
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  // The request for a page does not wait until this worker has started.
  await self.registration.navigationPreload?.[BUILD.keeps ? "enable" : "disable"]();
  await self.clients.claim();
}

// Every page comes by this, also those of which nothing is kept: what the browser has asked for
// ahead and is not taken here it asks for again, and the address a provider of sign-ins sends people
// back to is good for one time.
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
  // Full storage is no reason to show nothing.
  if (response.status === 200) cache.put(request.url, response.clone()).catch(() => {});
  return response;
}
