// A button beside a selection inside an answer, which quotes it in the message that is being written.
import { html, useEffect, useState } from "../../../preact.js";
import { quoteOf, selectionInAnswer } from "../../compose/quoting.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";

const GAP_PX = 8;
// The button and its shadow.
const HEIGHT_PX = 48;
const WIDTH_PX = 112;

export function QuoteButton({ store }) {
  const place = usePlaceOfSelection();
  if (!place) return null;
  const quote = () => {
    store.quote(quoteOf(String(getSelection())));
    getSelection()?.removeAllRanges();
  };
  // The selection must stay until the click.
  return html`<button type="button" class="button quote-button" style=${place} aria-keyshortcuts="Alt+Q" title=${`${text.quoteSelection} (Alt+Q)`}
    onPointerDown=${(event) => event.preventDefault()} onClick=${quote}><${Icon} name="quote" />${text.quote}</button>`;
}

/** Where the button belongs: {top, left} in the window, below the selection; null without a selection. */
function usePlaceOfSelection() {
  const [place, setPlace] = useState(null);
  useEffect(() => {
    const listening = new AbortController();
    let isDragging = false;
    const look = () => setPlace(isDragging ? null : placeBelow(selectionInAnswer(getSelection())));
    const listen = (target, name, handle) => target.addEventListener(name, handle, { signal: listening.signal, capture: true, passive: true });
    listen(document, "pointerdown", () => (isDragging = true));
    for (const name of ["pointerup", "pointercancel"]) listen(document, name, () => ((isDragging = false), look()));
    listen(document, "selectionchange", look);
    listen(window, "scroll", look);
    listen(window, "resize", look);
    return () => listening.abort();
  }, []);
  return place;
}

function placeBelow(range) {
  const at = range && [...range.getClientRects()].at(-1);
  if (!at || at.bottom < 0 || at.top > innerHeight) return null;
  const isRoomBelow = at.bottom + GAP_PX + HEIGHT_PX < innerHeight;
  const top = isRoomBelow ? at.bottom + GAP_PX : range.getBoundingClientRect().top - HEIGHT_PX;
  const left = Math.max(GAP_PX, Math.min(at.right - WIDTH_PX / 2, innerWidth - WIDTH_PX - GAP_PX));
  return { top: `${Math.max(GAP_PX, top)}px`, left: `${left}px` };
}
