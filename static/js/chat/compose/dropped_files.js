// Files cannot be attached yet. A browser that is left to itself opens a dropped file in the place of
// the chat, and is silent about a pasted picture: the page says what is the matter instead.

const FIELDS = "input, textarea, [contenteditable]:not([contenteditable='false'])";

/** @param say () => tells the reader that files cannot be attached */
export function refuseFiles(say, page = window) {
  page.addEventListener("dragover", (event) => keepPage(event));
  page.addEventListener("drop", (event) => {
    if (keepPage(event) && hasFiles(event.dataTransfer)) say();
  });
  page.addEventListener("paste", (event) => {
    const { clipboardData } = event;
    // A text that comes with a picture of itself, as from a spreadsheet, is a text.
    if (event.defaultPrevented || !hasFiles(clipboardData) || clipboardData.getData("text/plain")) return;
    event.preventDefault();
    say();
  });
}

/** Text dropped into a field is the browser's to insert; anything else would make it leave the page. */
function keepPage(event) {
  if (event.defaultPrevented) return false;
  const target = event.composedPath()[0];
  if (target instanceof Element && target.closest("input[type=file]")) return false;
  const isInField = target instanceof Element && Boolean(target.closest(FIELDS));
  if (isInField && !hasFiles(event.dataTransfer)) return false;
  event.preventDefault();
  // With "none" no drop would follow, and nothing could be said.
  if (event.dataTransfer) event.dataTransfer.dropEffect = hasFiles(event.dataTransfer) ? "copy" : "none";
  return true;
}

const hasFiles = (data) => Boolean(data) && [...data.types].includes("Files");
