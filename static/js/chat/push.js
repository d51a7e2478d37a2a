// Web Push: lets the server tell this browser of answers that end while it is closed (accounts/push/).
import { api } from "./api.js";
import { remember, remembered } from "./lib/storage.js";

// The subscription that the server knows, with its person, the session and the day: it is told again the next day.
const TOLD = "push-told";

/**
 * Subscribe this browser, if notifications are allowed. Fails if its push service is unreachable.
 * @param {{key: string, session: string}} server its public key, and a mark of this browser's session
 * @param {string} person whose answers they are
 */
export async function subscribe({ key, session }, person) {
  if (globalThis.Notification?.permission !== "granted" || !globalThis.PushManager) return;
  const { pushManager } = await navigator.serviceWorker.ready;
  const subscription = (await current(pushManager, key)) ?? (await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
  const told = [person, session, new Date().toISOString().slice(0, 10), subscription.endpoint].join(" ");
  if (remembered(TOLD) === told) return;
  await api.subscribe(person, subscription.toJSON());
  remember(TOLD, told);
}

/** The person has left this browser. */
export async function unsubscribe() {
  remember(TOLD, null);
  const registration = await navigator.serviceWorker?.getRegistration();
  const subscription = await registration?.pushManager?.getSubscription();
  await subscription?.unsubscribe();
}

/**
 * The subscription of this browser, or null. One that was made for an earlier key of the server is cancelled.
 * @param {PushManager} pushManager
 * @param {string} key
 */
async function current(pushManager, key) {
  const subscription = await pushManager.getSubscription();
  if (!subscription || keyOf(subscription) === key) return subscription;
  await subscription.unsubscribe();
  return null;
}

/** @param {PushSubscription} subscription */
function keyOf({ options }) {
  const bytes = new Uint8Array(options.applicationServerKey ?? new ArrayBuffer(0));
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
