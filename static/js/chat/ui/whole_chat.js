// When all of a long chat must be there at once: for the browser's own search, and on paper.
import { useEffect, useState } from "../../preact.js";
import { finishNow } from "../slices.js";

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
    listen("beforeprint", finishNow);
    listen("afterprint", () => setPrinted(false));
    return () => listening.abort();
  }, [chatId]);
  return { isWanted: wanted === chatId, isPrinted };
}

const isFind = ({ key, ctrlKey, metaKey }) => key === "F3" || ((ctrlKey || metaKey) && ["f", "g"].includes(key.toLowerCase()));
