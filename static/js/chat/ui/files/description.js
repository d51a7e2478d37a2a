// The dialog in which one says what an attached picture shows.
import { html, render, useId, useRef } from "../../../preact.js";
import { own } from "../../files/texts.js";
import { isComposing } from "../../lib/input_method.js";
import { text } from "../../text.js";
import { Modal } from "../dialogs/modal.js";

const MAX_CHARS = 1_000;

/**
 * @param file an attached picture
 * @param opener the element that gets the focus afterwards
 */
export function openDescription(store, file, opener) {
  const root = document.createElement("div");
  document.body.append(root);
  const close = () => {
    render(null, root);
    root.remove();
    opener.focus();
  };
  const save = (alt) => {
    void store.attachments.use((attaching) => attaching.describe(file.id, alt)).catch(() => store.toasts.show(text.unreachable, { isProblem: true }));
    close();
  };
  render(html`<${Description} file=${file} save=${save} close=${close} />`, root);
}

function Description({ file, save, close }) {
  const id = useId();
  const field = useRef(null);
  const submit = () => save(field.current.value.trim().replace(/\s+/g, " "));
  const onKeyDown = (event) => {
    if (event.key !== "Enter" || isComposing(event) || event.shiftKey) return;
    event.preventDefault();
    submit();
  };
  return html`<${Modal} labelledBy=${`${id}-title`} close=${close} isDirty=${() => field.current.value !== file.alt} onSubmit=${submit}>
    <h2 id=${`${id}-title`}>${own.description}</h2>
    <img class="description-picture" src=${file.preview} alt="" />
    <textarea class="field" rows="3" dir="auto" maxlength=${MAX_CHARS} ref=${field} data-first aria-labelledby=${`${id}-title`} aria-describedby=${`${id}-help`}
      defaultValue=${file.alt} onKeyDown=${onKeyDown}></textarea>
    <p class="meta" id=${`${id}-help`}>${own.descriptionHelp}</p>
    <div class="form-row dialog-actions">
      <button type="button" class="button" onClick=${close}>${text.cancel}</button>
      <button type="submit" class="button button-primary">${text.save}</button>
    </div>
  </${Modal}>`;
}
