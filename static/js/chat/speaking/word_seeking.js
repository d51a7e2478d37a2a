// Seeking by the text of an answer that is read aloud: a click on a word, or Enter where text is selected or the
// caret stands (caret browsing, screen readers), so that no word has to be a tab stop.
import { isComposing } from "../lib/input_method.js";

// Within this time a second click makes a double click, which selects a word.
const DOUBLE_MS = 250;
// A click on these does something else, and so does Enter in them.
const ACTIVE = "a, button, summary, input, textarea, select, [contenteditable], [role=button]";

/**
 * Returns what ends it.
 * @param {(node: Node, offset: number) => number | null} msAt
 * @param {(ms: number) => void} goTo
 */
export function seekByWords(msAt, goTo) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;
  const onClick = (/** @type {MouseEvent} */ event) => {
    clearTimeout(waiting);
    if (event.defaultPrevented || event.button !== 0 || isActive(event.target)) return;
    // Whoever selects text, or extends a selection, does not want to hear it.
    if (event.shiftKey || event.ctrlKey || event.metaKey || event.altKey || event.detail > 1) return;
    if (document.getSelection()?.isCollapsed === false) return;
    const { node, offset } = caretAt(event.clientX, event.clientY);
    const ms = node ? msAt(node, offset) : null;
    if (ms !== null) waiting = setTimeout(() => goTo(ms), DOUBLE_MS);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || event.defaultPrevented || isComposing(event) || isActive(event.target)) return;
    const range = document.getSelection()?.rangeCount ? document.getSelection()?.getRangeAt(0) : null;
    const ms = range ? msAt(range.startContainer, range.startOffset) : null;
    if (ms === null) return;
    event.preventDefault();
    goTo(ms);
  };
  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKeyDown);
  return () => {
    clearTimeout(waiting);
    document.removeEventListener("click", onClick);
    document.removeEventListener("keydown", onKeyDown);
  };
}

/** @param {EventTarget | null} target */
const isActive = (target) => target instanceof Element && target.closest(ACTIVE) !== null;

/**
 * The place in the text under a point. Safari knows the second function only.
 * @param {number} x
 * @param {number} y
 * @returns {{node?: Node | null, offset: number}}
 */
function caretAt(x, y) {
  if (document.caretPositionFromPoint) {
    const position = document.caretPositionFromPoint(x, y);
    return { node: position?.offsetNode, offset: position?.offset ?? 0 };
  }
  const range = document.caretRangeFromPoint?.(x, y);
  return { node: range?.startContainer, offset: range?.startOffset ?? 0 };
}
