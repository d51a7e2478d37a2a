import { useEffect } from "../../../preact.js";
import { text } from "../../text.js";

const SHOWN_MS = 2_400;
// The most frames to wait for a message, because a long chat is drawn in pieces.
const FRAMES = 600;
// Blocks that are drawn later move the message, so it is held in place until it has not moved for this many
// frames, or the reader does something.
const STILL_FRAMES = 30;
const HELD_MS = 60_000;
const READER_EVENTS = ["wheel", "touchstart", "pointerdown", "keydown"];
// This near to its end, the chat may have been scrolled by the page and not by the reader.
const AT_END_PX = 40;
// In these states the chat was loaded from this browser, and newer messages may still arrive.
const ON_ITS_WAY = new Set(["connecting", "catching-up", "checking"]);

let holding = null;

/** Scrolls to the message of a link or a search result, or to the reading position, once its chat is loaded. */
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
      hold(element.id, { keeper, isBehind, place: () => center(document.getElementById(element.id)) });
    });
  }, [target, open, isLoaded, wasBehind, keeper]);
  useReturn({ store, open, keeper, isLoaded, isBehind, wasBehind });
  useEffect(() => () => holding?.abort(), [open]);
  return null;
}

/** Restores the reading position after Back or a reload. A link to a message takes precedence. */
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
      hold(element.id, { keeper, isBehind, place: go });
      store.places.arrived();
    };
    // The message may never be drawn, because another branch is shown by now.
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
  // This comes after the scrolling, because a scroll event at the end would make the keeper follow the end again.
  keeper.letGo();
  element.classList.add("message-target");
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
  setTimeout(() => element.classList.remove("message-target"), SHOWN_MS);
  store.finding.arrived();
}

/** Keep the message with the element `id` where `place` puts it, until the reader does something. */
function hold(id, { keeper, isBehind, place }) {
  holding?.abort();
  const over = (holding = new AbortController());
  const options = { capture: true, passive: true, signal: over.signal };
  for (const name of READER_EVENTS) addEventListener(name, () => over.abort(), options);
  // Neither scroll anchoring nor keepPlace (viewport_observer.js) must move the view meanwhile: they keep other
  // messages in place, and that looks like a reader who scrolls.
  const scroller = document.getElementById(id).closest(".scroller");
  scroller.toggleAttribute("data-held", true);
  over.signal.addEventListener("abort", () => scroller.toggleAttribute("data-held", false));
  const until = performance.now() + HELD_MS;
  let still = 0;
  let last = null; // its position after the last placement, see placeOf
  requestAnimationFrame(function look() {
    if (still > STILL_FRAMES || performance.now() > until) over.abort();
    if (over.signal.aborted) return;
    // Look it up again, because it may have been drawn again. Until it is, it is not where it belongs.
    const element = document.getElementById(id);
    let isMoved = !element;
    if (element) {
      const found = placeOf(element);
      if (last && isByReader(last, found)) return void over.abort();
      place();
      // While the text is drawn in part, the place may be at its end, which must not be followed.
      keeper.letGo();
      const put = placeOf(element);
      isMoved = !(last && isSame(last, found) && isSame(found, put));
      last = put;
    }
    still = isMoved || isBehind() ? 0 : still + 1;
    requestAnimationFrame(look);
  });
}

/** At the end of the drawn content there was no room to scroll; now there may be more. */
const isGrown = (last, now) => last.isAtEnd && now.height !== last.height;
const isSame = (last, now) => !isGrown(last, now) && Math.abs(now.top - last.top) <= 1;

/** Its position in the window and in the scrolled content, the height of that content, and the distance to its end. */
function placeOf(element) {
  const { top } = element.getBoundingClientRect();
  const { scrollTop, scrollHeight, clientHeight } = element.closest(".scroller");
  const toEnd = scrollHeight - scrollTop - clientHeight;
  return { top, within: top + scrollTop, height: scrollHeight, toEnd, isAtEnd: toEnd <= 1 };
}

/** Whether the reader has scrolled: the message has the same position in the content, but not in the window.
    Some scrolling, as by a screen reader, sends none of the reader's events. */
function isByReader(last, now) {
  return !isSame(last, now) && !isGrown(last, now) && Math.abs(now.within - last.within) <= 1 && now.toEnd > AT_END_PX;
}

/** Scrolls the element to the middle of the view; of a tall one, shows the beginning. */
function center(element) {
  const block = element.offsetHeight > innerHeight / 2 ? "start" : "center";
  element.scrollIntoView({ block, behavior: "instant" });
}
