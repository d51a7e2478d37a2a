/** Make a textarea as tall as its text, up to what its CSS max-height allows. */
export function growToFit(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}

/** Enter sends; with Shift, or while an input method composes, or on a touch keyboard, it does not. */
export function isSendKey(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return false;
  return event.ctrlKey || event.metaKey || !matchMedia("(hover: none) and (pointer: coarse)").matches;
}
