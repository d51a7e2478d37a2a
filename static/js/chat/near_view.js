// Tells when an element comes near what the reader sees, to draw it before it is seen.
import { later } from "./slices.js";

const MARGIN = "1200px 0px";
const observers = new WeakMap(); // scroller -> IntersectionObserver
const waiting = new WeakMap(); // element -> {callback, isNear}

/** Call `callback` once, when `element` is near the visible part of `scroller`; gives a way to stop. */
export function whenNear(element, scroller, callback) {
  const observer = observerOf(scroller);
  waiting.set(element, { callback, isNear: false });
  observer.observe(element);
  return () => {
    waiting.delete(element);
    observer.unobserve(element);
  };
}

function observerOf(scroller) {
  let observer = observers.get(scroller);
  if (!observer) {
    observer = new IntersectionObserver((entries) => entries.forEach(seen), { root: scroller, rootMargin: MARGIN });
    observers.set(scroller, observer);
  }
  return observer;
}

function seen({ target, isIntersecting }) {
  const wait = waiting.get(target);
  if (!wait) return;
  wait.isNear = isIntersecting;
  if (!isIntersecting) return;
  // Who drags the scroll bar passes much that need not be drawn.
  later(() => {
    if (!wait.isNear || waiting.get(target) !== wait) return;
    waiting.delete(target);
    wait.callback();
  });
}
