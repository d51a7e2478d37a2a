import { isLong, isTooLongForField } from "../../compose/pasted.js";
import { isComposing } from "../../lib/input_method.js";
import { preferences } from "../../preferences.js";

/** Set a text. With `dir="auto"`, Chromium would take a time that is quadratic in the number of lines. */
export function setText(field, content) {
  field.dir = "";
  field.value = content;
  field.dir = "auto";
}

/** The text that a paste or a drop brings, with plain line breaks. */
export function broughtText({ clipboardData, dataTransfer }) {
  return ((clipboardData ?? dataTransfer)?.getData("text/plain") ?? "").replace(/\r\n?/g, "\n");
}

/**
 * The text that a paste or a drop brings, if it is long enough to be folded, or "". One that is dropped and fits
 * into a field may come from the field itself, and is then moved.
 */
export function longTextOf(event) {
  const brought = broughtText(event);
  const isFolded = event.dataTransfer ? isTooLongForField(brought) : isLong(brought);
  return isFolded ? brought : "";
}

export function moveToEnd(field) {
  field.setSelectionRange(field.value.length, field.value.length);
}

/** Make a textarea as tall as its text, up to what its CSS max-height allows. */
export function growToFit(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}

/** Adjust the height also whenever the width changes; returns a function that stops this. */
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
 * Whether the key sends the message. Ctrl or ⌘ + Enter does. Enter alone does unless the person has set it
 * otherwise, but not with Shift or Alt, during composition or on a touch keyboard.
 */
export function isSendKey(event) {
  if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return false;
  if (event.ctrlKey || event.metaKey) return true;
  return preferences.peek().send_key === "enter" && !event.altKey && !matchMedia("(hover: none) and (pointer: coarse)").matches;
}
