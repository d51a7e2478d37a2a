// Decides when all of a long chat must be drawn: for the browser's own search, and for printing.
import { useEffect, useState } from "../../../preact.js";
import { drawAllNow } from "../../lib/viewport_observer.js";
import { finishNow } from "../../lib/idle_tasks.js";

/** For the chat on screen: `isWanted` if all messages must be on the page, `isPrinted` if all must be drawn in full. */
export function useWholeChat(chatId) {
  const [wanted, setWanted] = useState(null);
  const [isPrinted, setPrinted] = useState(false);
  useEffect(() => {
    const listening = new AbortController();
    const listen = (name, handle) => addEventListener(name, handle, { signal: listening.signal, capture: true });
    listen("keydown", (event) => isFind(event) && setWanted(chatId));
    listen("beforeprint", () => (setWanted(chatId), setPrinted(true)));
    // Between two listeners the browser runs the microtasks of the first one, so the views have been updated.
    listen("beforeprint", drawAll);
    listen("afterprint", () => setPrinted(false));
    return () => listening.abort();
  }, [chatId]);
  return { isWanted: wanted === chatId, isPrinted };
}

/** A callback that waits until the reader is near may add others: a part its code blocks, a code block its colours. */
const DEEPEST = 3;

function drawAll() {
  finishNow();
  for (let depth = 0; depth < DEEPEST; depth++) {
    for (const root of document.querySelectorAll(".md")) drawAllNow(root);
    finishNow();
  }
}

const isFind = ({ key, ctrlKey, metaKey }) => key === "F3" || ((ctrlKey || metaKey) && ["f", "g"].includes(key.toLowerCase()));
