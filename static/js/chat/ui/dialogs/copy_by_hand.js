import { text } from "../../text.js";

/**
 * Shows the text selected, so that the reader can copy it where scripts may not.
 * @param {string} content
 */
export function copyByHand(content) {
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.setAttribute("aria-label", text.copyByHand);
  const form = document.createElement("form");
  form.className = "dialog-body";
  form.method = "dialog";
  const note = document.createElement("p");
  note.textContent = text.copyByHand;
  const field = document.createElement("textarea");
  field.className = "field dialog-text";
  field.readOnly = true;
  field.rows = 6;
  field.setAttribute("aria-label", text.copyByHand);
  field.value = content;
  field.dir = "auto"; // After the value: see composer/text_field.js.
  const close = document.createElement("button");
  close.className = "button button-primary";
  close.textContent = text.close;
  const row = document.createElement("div");
  row.className = "form-row dialog-actions";
  row.append(close);
  form.append(note, field, row);
  dialog.append(form);
  // Keys pressed here are not shortcuts of the page: Escape must not also stop an answer.
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  dialog.addEventListener("copy", () => setTimeout(() => dialog.close()));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  field.focus();
  field.select();
}
