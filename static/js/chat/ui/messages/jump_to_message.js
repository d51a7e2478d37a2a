import { useEffect } from "../../../preact.js";
import { text } from "../../text.js";

const SHOWN_MS = 2_400;
// A long chat is drawn in pieces: so many frames a message may take to be there.
const FRAMES = 600;
// What is read and drawn after it moves it: it is held until nothing did for so many frames, or the
// reader does something.
const STILL_FRAMES = 30;
const HELD_MS = 60_000;
const READER_EVENTS = ["wheel", "touchstart", "pointerdown", "keydown"];
// As near to its end the chat may have been scrolled there by us.
const AT_END_PX = 40;
// What this browser keeps of the chat is there; what came since may still be on its way.
const ON_ITS_WAY = new Set(["connecting", "catching-up", "checking"]);

let holding = null;

/** Bring into view, once its chat is there, the message that a link or a search names, or that was read before. */
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
    return whenDrawn(`m-${target.message}`, (element) => {
      show(element, store, keeper);
      hold(element.id, isBehind, () => center(document.getElementById(element.id)));
    });
  }, [target, open, isLoaded, wasBehind, keeper]);
  useReturn({ store, open, keeper, isLoaded, isBehind, wasBehind });
  useEffect(() => () => holding?.abort(), [open]);
  return null;
}

/** After Back or a reload: go where the reader was. A link to a message comes first. */
function useReturn({ store, open, keeper, isLoaded, isBehind, wasBehind }) {
  const place = store.places.wanted.value;
  const hasTarget = store.finding.target.value !== null;
  useEffect(() => {
    if (!place) return undefined;
    if (hasTarget) return void store.places.arrived();
    if (!keeper || place.chat !== open?.id || !isLoaded) return undefined;
    if (!(place.id.slice(2) in open.transcript.messages)) {
      if (isBehind()) return undefined;
      store.places.arrived();
      return void keeper.toEnd();
    }
    const go = () => keeper.goTo(place);
    const putBack = (element) => {
      keeper.letGo();
      go();
      hold(element.id, isBehind, go);
      store.places.arrived();
    };
    // Another branch may be shown by now.
    return whenDrawn(place.id, putBack, () => (store.places.arrived(), keeper.toEnd()));
  }, [place, hasTarget, open, isLoaded, wasBehind, keeper]);
}

function whenDrawn(id, run, giveUp = () => {}) {
  let frames = 0;
  let request = requestAnimationFrame(function look() {
    const element = document.getElementById(id);
    if (element) run(element);
    else if (frames++ < FRAMES) request = requestAnimationFrame(look);
    else giveUp();
  });
  return () => cancelAnimationFrame(request);
}

function show(element, store, keeper) {
  center(element);
  // Only now: an event of the scrolling before, to the end, would have held on again.
  keeper.letGo();
  element.classList.add("message-target");
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
  setTimeout(() => element.classList.remove("message-target"), SHOWN_MS);
  store.finding.arrived();
}

/** Keep the message of that element where `place` puts it, until the reader does something. */
function hold(id, isBehind, place) {
  holding?.abort();
  const over = (holding = new AbortController());
  const options = { capture: true, passive: true, signal: over.signal };
  for (const name of READER_EVENTS) addEventListener(name, () => over.abort(), options);
  const until = performance.now() + HELD_MS;
  let still = 0;
  let last = null; // where it stood after it was put there, see placeOf
  requestAnimationFrame(function look() {
    if (still > STILL_FRAMES || performance.now() > until) over.abort();
    if (over.signal.aborted) return;
    // Found anew: what was only text may have been drawn.
    const element = document.getElementById(id);
    const found = element && placeOf(element);
    if (found && last && isByReader(last, found)) return void over.abort();
    // In each frame: the browser, too, scrolls to keep in view what is below growing content, and rounds.
    place();
    const put = element && placeOf(element);
    const isMoved = put && !(last && isSame(last, found) && isSame(found, put));
    last = put ?? last;
    still = isMoved || isBehind() ? 0 : still + 1;
    requestAnimationFrame(look);
  });
}

/** At the end of what was drawn it may not have come to its place yet. */
const isGrown = (last, now) => last.isAtEnd && now.height !== last.height;
const isSame = (last, now) => !isGrown(last, now) && Math.abs(now.top - last.top) <= 1;

/** Where it stands in the window and within the content of its scroller, how high that is, and how far from its end. */
function placeOf(element) {
  const { top } = element.getBoundingClientRect();
  const { scrollTop, scrollHeight, clientHeight } = element.closest(".scroller");
  const toEnd = scrollHeight - scrollTop - clientHeight;
  return { top, within: top + scrollTop, height: scrollHeight, toEnd, isAtEnd: toEnd <= 1 };
}

/** It stands where it stood in the content, and something else is shown: a reader did that, with
    what sends no event of theirs, such as a screen reader. */
function isByReader(last, now) {
  return !isSame(last, now) && !isGrown(last, now) && Math.abs(now.within - last.within) <= 1 && now.toEnd > AT_END_PX;
}

/** Into the middle; what is tall with its beginning. */
function center(element) {
  const block = element.offsetHeight > innerHeight / 2 ? "start" : "center";
  element.scrollIntoView({ block, behavior: "instant" });
}
