import { text } from "../../text.js";

/** Where no script may copy: shows the text selected, so that the reader's own keys can. */
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
  field.dir = "auto";
  field.setAttribute("aria-label", text.copyByHand);
  field.value = content;
  const close = document.createElement("button");
  close.className = "button button-primary";
  close.textContent = text.close;
  const row = document.createElement("div");
  row.className = "form-row dialog-actions";
  row.append(close);
  form.append(note, field, row);
  dialog.append(form);
  // A key pressed here is no shortcut of the page: Escape must not also stop an answer.
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  dialog.addEventListener("copy", () => setTimeout(() => dialog.close()));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  field.focus();
  field.select();
}
