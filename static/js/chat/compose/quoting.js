// Quoting a part of an answer in the message that is being written.

/**
 * A text as a Markdown quotation; "" for a blank text.
 * @param {string} selected
 */
export function quoteOf(selected) {
  const lines = selected.replaceAll("\r\n", "\n").replace(/\n{3,}/g, "\n\n").trim().split("\n");
  return lines.join("").trim() ? lines.map((line) => `> ${line}`.trimEnd()).join("\n") : "";
}

/**
 * The selected range if it has text and lies within one answer, else null.
 * @param {Selection | null} selection
 */
export function selectionInAnswer(selection) {
  if (!selection || selection.isCollapsed || selection.rangeCount === 0) return null;
  const range = selection.getRangeAt(0);
  const { commonAncestorContainer: node } = range;
  const element = node instanceof Element ? node : node.parentElement;
  return element?.closest(".message-answer") && element.closest(".md, .far-text") && String(selection).trim() ? range : null;
}
