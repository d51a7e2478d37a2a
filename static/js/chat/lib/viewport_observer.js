// Tells when an element comes near the visible part of the page, so that it is drawn before the reader
// sees it. Nothing is drawn during the browser's own search, because that would lose the match it has found.
import { runWhenIdle } from "./idle_tasks.js";

const MARGIN = "1200px 0px";
// Nobody reads while scrolling this fast, so elements are drawn only once the reader slows down.
const FAST_PX_A_MS = 4;
const CALM_MS = 200;
const BACK = ["focus", "pointerdown", "wheel", "touchstart", "keydown"];
/** @type {WeakMap<Element, IntersectionObserver>} by scroller */
const observers = new WeakMap();
/** @type {WeakMap<Element, {callback: () => void, isNear: boolean, scroller: HTMLElement}>} by element */
const waiting = new WeakMap();
/** @type {WeakMap<Element, {top: number, atMs: number, isFast: boolean}>} by scroller */
const moves = new WeakMap();
/** @type {Set<Element>} */
const held = new Set(); // elements that came near while the reader was away, or that contain the selection
// While the reader types into the browser's search, the page gets no events.
let isReaderAway = false;
let isListening = false;
let isPlaceKept = false;

/**
 * Call `callback` once, when `element` is near the visible part of `scroller`; returns a function that cancels this.
 * @param {Element} element
 * @param {HTMLElement} scroller
 * @param {() => void} callback
 */
export function onceNearViewport(element, scroller, callback) {
  listen();
  const observer = observerOf(scroller);
  waiting.set(element, { callback, isNear: false, scroller });
  observer.observe(element);
  return () => {
    waiting.delete(element);
    held.delete(element);
    observer.unobserve(element);
  };
}

/**
 * Call all callbacks within `root` now, because it is about to be printed.
 * @param {Element} root
 */
export function drawAllNow(root) {
  for (const element of root.querySelectorAll("*")) {
    const wait = waiting.get(element);
    waiting.delete(element);
    wait?.callback();
  }
}

/** @param {HTMLElement} scroller */
function observerOf(scroller) {
  let observer = observers.get(scroller);
  if (!observer) {
    observer = new IntersectionObserver((entries) => entries.forEach(seen), { root: scroller, rootMargin: MARGIN });
    observers.set(scroller, observer);
    scroller.addEventListener("scroll", () => noteMove(scroller), { passive: true });
  }
  return observer;
}

/** @param {{target: Element, isIntersecting: boolean}} entry */
function seen({ target, isIntersecting }) {
  const wait = waiting.get(target);
  if (!wait) return;
  wait.isNear = isIntersecting;
  if (!isIntersecting) return;
  runWhenIdle(function draw() {
    if (!wait.isNear || waiting.get(target) !== wait) return;
    if (isFlying(wait.scroller)) {
      setTimeout(() => runWhenIdle(draw), CALM_MS);
      return;
    }
    if (isReaderAway || hasSelection(target)) {
      held.add(target);
      return;
    }
    waiting.delete(target);
    keepPlace(wait.scroller, target);
    wait.callback();
  });
}

/** @param {HTMLElement} scroller */
function noteMove(scroller) {
  const atMs = performance.now();
  const top = scroller.scrollTop;
  const before = moves.get(scroller);
  const tookMs = before ? atMs - before.atMs : Infinity;
  moves.set(scroller, { top, atMs, isFast: tookMs < CALM_MS && Math.abs(top - (before?.top ?? 0)) > FAST_PX_A_MS * tookMs });
}

/** @param {HTMLElement} scroller */
function isFlying(scroller) {
  const last = moves.get(scroller);
  return last !== undefined && last.isFast && performance.now() - last.atMs < CALM_MS;
}

/**
 * Keep the message in the middle of the view where it is while `target` is drawn again.
 * @param {HTMLElement} scroller
 * @param {Element} target
 */
function keepPlace(scroller, target) {
  const isHeld = () => scroller.hasAttribute("data-held"); // set by jump_to_message.js
  const middle = isPlaceKept || isHeld() ? null : messageInMiddle(scroller);
  if (!middle || !target.contains(middle)) return;
  isPlaceKept = true;
  /** @param {Element} element */
  const topOf = (element) => element.getBoundingClientRect().top;
  const before = topOf(middle);
  const { scrollTop } = scroller;
  // The browser's scroll anchoring would hold on to an element that is removed, and move the page again.
  scroller.style.overflowAnchor = "none";
  requestAnimationFrame(() => {
    const now = document.getElementById(middle.id);
    // If a person or a link to a message has scrolled meanwhile, that position is the wanted one.
    if (now && !isHeld() && scroller.scrollTop === scrollTop) scroller.scrollTop += topOf(now) - before;
    requestAnimationFrame(() => {
      isPlaceKept = false;
      scroller.style.overflowAnchor = "";
    });
  });
}

/** @param {HTMLElement} scroller */
function messageInMiddle(scroller) {
  const { left, top, width, height } = scroller.getBoundingClientRect();
  for (const part of [0.5, 0.4, 0.6]) {
    const message = document.elementFromPoint(left + width / 2, top + height * part)?.closest(".message[id]");
    if (message) return message;
  }
  return null;
}

function listen() {
  if (isListening) return;
  isListening = true;
  addEventListener("blur", (event) => (isReaderAway ||= event.target === window));
  for (const name of BACK) addEventListener(name, readerIsBack, { capture: true, passive: true });
  document.addEventListener("selectionchange", () => isReaderAway || drawHeld());
}

function readerIsBack() {
  isReaderAway = false;
  drawHeld();
}

function drawHeld() {
  for (const target of [...held]) {
    held.delete(target);
    if (waiting.get(target)?.isNear) seen({ target, isIntersecting: true });
  }
}

/**
 * The browser's search leaves its match selected when it is closed.
 * @param {Element} element
 */
function hasSelection(element) {
  const selection = document.getSelection();
  return Boolean(selection && !selection.isCollapsed && selection.rangeCount && selection.getRangeAt(0).intersectsNode(element));
}
