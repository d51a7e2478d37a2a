// Puts a dictated text where the caret is, so that the browser can undo it like typing.

/**
 * The text with the spaces that separate it from what is beside it.
 * @param {string} before
 * @param {string} said
 * @param {string} after
 */
export function spaced(before, said, after) {
  const start = before && !/[\s([{“‘"'«¿¡]$/u.test(before) ? " " : "";
  const end = after && !/^[\s)\]}”’"'».,;:!?…]/u.test(after) ? " " : "";
  return start + said + end;
}

/**
 * @param {HTMLTextAreaElement} field
 * @param {string} said
 */
export function insertAtCaret(field, said) {
  const { selectionStart: from, selectionEnd: to, value } = field;
  const content = spaced(value.slice(0, from), said, value.slice(to));
  field.focus();
  field.setSelectionRange(from, to);
  // There is no other way that leaves the browser's history of the field as it is.
  if (document.execCommand("insertText", false, content)) return;
  field.setRangeText(content, from, to, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
