/* Leads back to the chat that was left in this tab. Without this script the link leads to a new chat. */

const CHAT = /^\/c\/[0-9a-f-]{36}$/;

function leftChat() {
  try {
    return sessionStorage.getItem("holdfast:left") ?? "";
  } catch {
    return ""; // The storage is forbidden.
  }
}

const link = document.querySelector('[data-way-back][href="/"]');
if (link && CHAT.test(leftChat())) link.href = leftChat();
