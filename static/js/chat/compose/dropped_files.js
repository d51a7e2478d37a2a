// Files that are dropped anywhere on the page, or pasted: they are attached to the message that is written or edited
// there. By default a browser replaces the page with a dropped file, and ignores a pasted picture.
import { composerPlace } from "../files/places.js";

const FIELDS = "input, textarea, [contenteditable]:not([contenteditable='false'])";

/**
 * The parts of the Store that are used here.
 * @typedef {object} Store
 * @property {import("../files/attachments.js").Attachments} attachments
 * @property {{peek(): string | null}} draftPlace
 */

/** @param {Store} store */
export function takeFiles(store, page = window) {
  const { attachments } = store;
  /** @param {Event} event @param {DataTransfer | null} data */
  const take = (event, data) => attachments.add(placeOf(event) ?? composerPlace(store.draftPlace.peek()), filesOf(data));
  page.addEventListener("dragover", (event) => {
    if (keepPage(event) && hasFiles(event.dataTransfer)) attachments.isDraggedOver.value = true;
  });
  // With no element that it moves to, the pointer leaves the page.
  page.addEventListener("dragleave", (event) => event.relatedTarget === null && (attachments.isDraggedOver.value = false));
  page.addEventListener("drop", (event) => {
    attachments.isDraggedOver.value = false;
    if (keepPage(event) && hasFiles(event.dataTransfer)) take(event, event.dataTransfer);
  });
  page.addEventListener("paste", (event) => {
    const { clipboardData } = event;
    if (event.defaultPrevented || !hasFiles(clipboardData) || isText(clipboardData)) return;
    event.preventDefault();
    take(event, clipboardData);
  });
}

/**
 * Text that comes with a picture of itself, as from a spreadsheet, counts as text. A file manager adds the name.
 * @param {DataTransfer | null} data
 */
function isText(data) {
  const content = data?.getData("text/plain").trim() ?? "";
  return content !== "" && !filesOf(data).some(({ name }) => content.endsWith(name));
}

/**
 * Where the files are attached if they fall on a message that is edited.
 * @param {Event} event
 */
function placeOf(event) {
  const target = event.composedPath()[0];
  const editor = target instanceof Element ? target.closest("[data-files-place]") : null;
  return /** @type {HTMLElement | null} */ (editor)?.dataset.filesPlace ?? null;
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
  // With "none" there would be no drop event.
  if (event.dataTransfer) event.dataTransfer.dropEffect = hasFiles(event.dataTransfer) ? "copy" : "none";
  return true;
}

/** @param {DataTransfer | null} data */
const hasFiles = (data) => [...(data?.types ?? [])].includes("Files");

/** @param {DataTransfer | null} data */
const filesOf = (data) => [...(data?.files ?? [])];
