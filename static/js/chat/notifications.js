// Notifications of answers that ended while no page showed them. The service worker shows them, because phones
// allow nothing else, and leads back to the chat (static/js/service_worker.js).
import { preferences } from "./preferences.js";
import { remember, remembered } from "./lib/storage.js";
import { text } from "./text.js";

const OFFERED = "notifications-offered";
const OFFERED_FOR_MS = 60_000;

/** Whether this browser can show notifications at all: it needs https, or localhost. */
const isPossible = () => "Notification" in globalThis && Boolean(navigator.serviceWorker);

/**
 * Offer notifications, once in each browser, to a person who has just come back to an answer that they had left.
 * @param {import("./lib/toasts.js").Toasts} toasts
 * @param {() => void} onAllowed
 */
export function offerNotifications(toasts, onAllowed) {
  if (!isPossible() || Notification.permission !== "default") return;
  if (!preferences.peek().answer_notifications || remembered(OFFERED)) return;
  remember(OFFERED, "1");
  const ask = async () => {
    if ((await Notification.requestPermission()) === "granted") onAllowed();
  };
  toasts.show(text.notifyOffer, { label: text.notifyAllow, run: () => void ask(), forMs: OFFERED_FOR_MS });
}

/**
 * Tells that an answer has ended. Several tabs share one notification, because it has the chat's id as its tag.
 * @param {{id: string, title: string}} chat
 */
export async function notifyOfEnd(chat) {
  if (!isPossible() || Notification.permission !== "granted" || !preferences.peek().answer_notifications) return;
  const registration = await navigator.serviceWorker.getRegistration();
  const icon = /** @type {HTMLLinkElement | null} */ (document.querySelector("link[rel=apple-touch-icon]"))?.href;
  // The text of the answer stays out of it: anybody near the screen may read a notification.
  await registration?.showNotification(chat.title || text.untitled, { body: text.answerComplete, tag: chat.id, icon, data: { chat: chat.id } });
}

/**
 * Remove the notifications of these chats; of all chats by default.
 * @param {string[] | null} [ids]
 */
export async function closeNotifications(ids = null) {
  if (!isPossible()) return;
  const registration = await navigator.serviceWorker.getRegistration();
  const shown = (await registration?.getNotifications()) ?? [];
  for (const one of shown) if (ids === null || ids.includes(one.tag)) one.close();
}
