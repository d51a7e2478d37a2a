// Files cannot be attached yet. By default a browser replaces the chat with a dropped file, and ignores a
// pasted picture. The page prevents that and says why.

const FIELDS = "input, textarea, [contenteditable]:not([contenteditable='false'])";

/** @param {() => void} say shows that files cannot be attached */
export function refuseFiles(say, page = window) {
  page.addEventListener("dragover", (event) => keepPage(event));
  page.addEventListener("drop", (event) => {
    if (keepPage(event) && hasFiles(event.dataTransfer)) say();
  });
  page.addEventListener("paste", (event) => {
    const { clipboardData } = event;
    // Text that comes with a picture of itself, as from a spreadsheet, counts as text.
    if (event.defaultPrevented || !hasFiles(clipboardData) || clipboardData?.getData("text/plain")) return;
    event.preventDefault();
    say();
  });
}

/**
 * Prevents a drop from replacing the page; returns whether it did. Text dropped into a field is left to the browser.
 * @param {DragEvent} event
 */
function keepPage(event) {
  if (event.defaultPrevented) return false;
  const target = event.composedPath()[0];
  if (target instanceof Element && target.closest("input[type=file]")) return false;
  const isInField = target instanceof Element && Boolean(target.closest(FIELDS));
  if (isInField && !hasFiles(event.dataTransfer)) return false;
  event.preventDefault();
  // With "none" there would be no drop event, and no message.
  if (event.dataTransfer) event.dataTransfer.dropEffect = hasFiles(event.dataTransfer) ? "copy" : "none";
  return true;
}

/** @param {DataTransfer | null} data */
const hasFiles = (data) => [...(data?.types ?? [])].includes("Files");
