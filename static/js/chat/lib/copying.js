// Copies text, also where scripts cannot use the clipboard: on plain http from another host.

/**
 * Copies `content` and keeps focus and selection. If the browser does not allow it, returns false and shows
 * the text selected, so that the reader can copy it.
 * @param {string} content
 * @param {string | null} [rich] the same as HTML, for programs that take formatted text
 */
export async function copyText(content, rich = null) {
  if ((await copyByScript(content, rich)) || copyBySelection(content, rich)) return true;
  import("../ui/dialogs/copy_by_hand.js").then(({ copyByHand }) => copyByHand(content)).catch(() => {});
  return false;
}

/**
 * @param {string} content
 * @param {string | null} rich
 */
async function copyByScript(content, rich) {
  try {
    if (rich === null) await navigator.clipboard.writeText(content);
    else await navigator.clipboard.write([new ClipboardItem({ "text/plain": asBlob(content, "text/plain"), "text/html": asBlob(rich, "text/html") })]);
    return true;
  } catch {
    return false;
  }
}

/**
 * @param {string} content
 * @param {string} type
 */
const asBlob = (content, type) => new Blob([content], { type });

/**
 * The older method: `execCommand` fires a copy event, whose handler supplies the content.
 * @param {string} content
 * @param {string | null} rich
 */
function copyBySelection(content, rich) {
  const giveBack = placeOfReader();
  const field = fieldWith(content);
  let isCopied = false;
  /** @param {ClipboardEvent} event */
  const onCopy = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    event.clipboardData?.setData("text/plain", content);
    if (rich !== null) event.clipboardData?.setData("text/html", rich);
    isCopied = true;
  };
  document.addEventListener("copy", onCopy, { capture: true });
  try {
    return document.execCommand("copy") && isCopied;
  } catch {
    return false;
  } finally {
    document.removeEventListener("copy", onCopy, { capture: true });
    field.remove();
    giveBack();
  }
}

/**
 * An invisible field with the text selected. It must be in the open dialog, because nothing outside can be selected.
 * @param {string} content
 */
function fieldWith(content) {
  const field = document.createElement("textarea");
  field.className = "visually-hidden";
  field.readOnly = true;
  field.tabIndex = -1;
  field.setAttribute("aria-hidden", "true");
  field.value = content;
  ([...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body).append(field);
  field.focus({ preventScroll: true });
  field.setSelectionRange(0, content.length);
  return field;
}

/** Notes the focus and the selection; returns a function that restores both. */
function placeOfReader() {
  const focused = document.activeElement;
  const selection = document.getSelection();
  const ranges = selection ? Array.from({ length: selection.rangeCount }, (_, index) => selection.getRangeAt(index)) : [];
  return () => {
    selection?.removeAllRanges();
    for (const range of ranges) selection?.addRange(range);
    if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  };
}
