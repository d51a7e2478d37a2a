// When all of a long chat must be there at once: for the browser's own search, and on paper.
import { useEffect, useState } from "../../../preact.js";
import { drawAllNow } from "../../lib/viewport_observer.js";
import { finishNow } from "../../lib/idle_tasks.js";

/** {isWanted: nothing may be left out, isPrinted: nor be mere text}, of the chat on screen. */
export function useWholeChat(chatId) {
  const [wanted, setWanted] = useState(null);
  const [isPrinted, setPrinted] = useState(false);
  useEffect(() => {
    const listening = new AbortController();
    const listen = (name, handle) => addEventListener(name, handle, { signal: listening.signal, capture: true });
    listen("keydown", (event) => isFind(event) && setWanted(chatId));
    listen("beforeprint", () => (setWanted(chatId), setPrinted(true)));
    // Between two listeners the browser runs what the first one has queued: the views are there.
    listen("beforeprint", drawAll);
    listen("afterprint", () => setPrinted(false));
    return () => listening.abort();
  }, [chatId]);
  return { isWanted: wanted === chatId, isPrinted };
}

/** What waits until the reader is near may hold what waits again: a part its code, that its colours. */
const DEEPEST = 3;

function drawAll() {
  finishNow();
  for (let depth = 0; depth < DEEPEST; depth++) {
    for (const root of document.querySelectorAll(".md")) drawAllNow(root);
    finishNow();
  }
}

const isFind = ({ key, ctrlKey, metaKey }) => key === "F3" || ((ctrlKey || metaKey) && ["f", "g"].includes(key.toLowerCase()));
