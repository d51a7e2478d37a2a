import { useEffect } from "../../preact.js";
import { text } from "../text.js";

const SHOWN_MS = 2_400;
// A long chat is drawn in pieces: so many frames a message may take to be there.
const FRAMES = 600;
// What this browser keeps of the chat is there; what came since may still be on its way.
const ON_ITS_WAY = new Set(["connecting", "catching-up", "checking"]);

/** Bring the message that a link or a search names into view, once its chat is there. */
export function Jump({ store, open, keeper }) {
  const target = store.finding.target.value;
  const isLoaded = open?.isLoaded.value ?? false;
  const isBehind = () => ON_ITS_WAY.has(store.connection.state.value.kind);
  const wasBehind = isBehind();
  useEffect(() => {
    if (!target || !keeper || target.chat !== open?.id || !isLoaded) return undefined;
    if (!(target.message in open.transcript.messages)) {
      if (isBehind()) return undefined;
      store.toasts.show(text.messageNotHere, { isProblem: true });
      store.finding.arrived();
      return undefined;
    }
    open.showBranchOf(target.message);
    let frames = 0;
    let request = requestAnimationFrame(function look() {
      const element = document.getElementById(`m-${target.message}`);
      if (element) show(element, store, keeper);
      else if (frames++ < FRAMES) request = requestAnimationFrame(look);
    });
    return () => cancelAnimationFrame(request);
  }, [target, open, isLoaded, wasBehind, keeper]);
  return null;
}

function show(element, store, keeper) {
  element.scrollIntoView({ block: "center", behavior: "instant" });
  // Only now: an event of the scrolling before, to the end, would have held on again.
  keeper.letGo();
  element.classList.add("message-target");
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
  setTimeout(() => element.classList.remove("message-target"), SHOWN_MS);
  store.finding.arrived();
}
