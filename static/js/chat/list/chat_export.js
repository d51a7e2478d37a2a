// One chat as a file, or on paper.
import { api } from "../api.js";
import { fileName } from "../lib/file_name.js";

const DRAWN_WITHIN_MS = 30_000;

/**
 * @param {{id: string, title: string}} chat
 * @param {"md" | "json"} form
 */
export async function downloadChat(chat, form) {
  const url = URL.createObjectURL(await api.exportChat(chat.id, form));
  const link = document.createElement("a");
  link.href = url;
  link.download = `${fileName(chat.title) || "chat"}.${form}`;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/**
 * Print the chat on screen once it is loaded and drawn. The page then draws all of it (ui/messages/whole_chat.js).
 * @param {import("../log/open_chat.js").OpenChat} open
 */
export async function printChat(open) {
  const until = performance.now() + DRAWN_WITHIN_MS;
  const isDrawn = () => open.isLoaded.peek() && document.querySelector(".transcript .message") !== null;
  while (!isDrawn() && performance.now() < until) await nextFrame();
  // One more, so that a preview of the last messages is replaced.
  await nextFrame();
  window.print();
}

const nextFrame = () => new Promise((resolve) => void requestAnimationFrame(resolve));
