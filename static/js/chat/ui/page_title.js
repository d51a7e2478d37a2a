import { useEffect } from "../../preact.js";
import { text } from "../text.js";

/** Keep the title and the icon of the page up to date: both tell when answers have ended unseen. */
export function usePageTitle(store, title) {
  const count = store.unseen.count.value;
  useEffect(() => {
    const name = title ? `${title} – ${text.product}` : text.product;
    document.title = count > 0 ? `(${count}) ${name}` : name;
  }, [title, count]);
  const hasEnded = count > 0;
  useEffect(() => {
    if (!hasEnded) return undefined;
    const link = document.querySelector("link[rel=icon]");
    const usual = link.href;
    link.href = document.querySelector("meta[name=icon-with-dot]").content;
    return () => (link.href = usual);
  }, [hasEnded]);
}
