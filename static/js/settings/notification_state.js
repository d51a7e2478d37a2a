// Whether this browser allows notifications, beside the setting for all devices.
import { text } from "./text.js";

/** @param {Document} page */
export function showNotificationState(page) {
  const place = page.querySelector("[data-notifications]");
  if (!("Notification" in globalThis) || !navigator.serviceWorker) return;
  const show = () => {
    const { permission } = Notification;
    if (permission === "default") place.replaceChildren(askButton(page, show));
    else place.textContent = permission === "granted" ? text.notificationsAllowed : text.notificationsDenied;
  };
  show();
}

function askButton(page, whenAnswered) {
  const button = page.createElement("button");
  button.type = "button";
  button.className = "link-button";
  button.textContent = text.notificationsAllow;
  button.addEventListener("click", () => void Notification.requestPermission().then(whenAnswered));
  return button;
}
