import { setText } from "./text_field.js";

const LONG_CHARS = 5_000;

/** On pasting a long text: insert it as `setText` does, because the browser inserts it line by line. */
export function pasteLong(event) {
  const pasted = event.clipboardData?.getData("text/plain").replace(/\r\n?/g, "\n") ?? "";
  if (pasted.length <= LONG_CHARS) return;
  event.preventDefault();
  const { currentTarget: field } = event;
  const { value, selectionStart, selectionEnd } = field;
  setText(field, value.slice(0, selectionStart) + pasted + value.slice(selectionEnd));
  const caret = selectionStart + pasted.length;
  field.setSelectionRange(caret, caret);
  field.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertFromPaste" }));
}
