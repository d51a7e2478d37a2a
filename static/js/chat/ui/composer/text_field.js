import { isComposing } from "../../lib/input_method.js";
import { preferences } from "../../preferences.js";

/** Make a textarea as tall as its text, up to what its CSS max-height allows. */
export function growToFit(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}

/** From now on also when it gets wider or narrower: a phone is turned, the list opens. Gives its end. */
export function growWithWidth(field) {
  let width = field.clientWidth;
  const observer = new ResizeObserver(() => {
    if (field.clientWidth === width) return;
    width = field.clientWidth;
    growToFit(field);
  });
  observer.observe(field);
  return () => observer.disconnect();
}

/**
 * Ctrl or ⌘ + Enter sends, and Enter does unless the person has set otherwise; with Shift or Alt, or
 * while an input method composes, or on a touch keyboard, it does not.
 */
export function isSendKey(event) {
  if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return false;
  if (event.ctrlKey || event.metaKey) return true;
  return preferences.peek().send_key === "enter" && !event.altKey && !matchMedia("(hover: none) and (pointer: coarse)").matches;
}
