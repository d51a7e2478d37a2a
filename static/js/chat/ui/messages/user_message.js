import { html, useLayoutEffect, useRef, useState } from "../../../preact.js";
import { entryTimeMs } from "../../lib/ids.js";
import { isComposing } from "../../lib/input_method.js";
import { fitted, isTooLongForField, joined, taken, together } from "../../compose/pasted.js";
import { text } from "../../text.js";
import { copyFrom } from "./actions/clipboard.js";
import { CopyLink } from "./actions/copy_link.js";
import { Icon } from "../icons.js";
import { BranchStepper } from "./actions/branch_stepper.js";
import { LongText } from "./long_text.js";
import { MessageTime } from "./times.js";
import { PastedBlock, PastedChips } from "../composer/pasted_chips.js";
import { AttachButton } from "../composer/attach_button.js";
import { MessageFiles } from "../files/message_files.js";
import { lazyModule } from "../lazy_modules.js";
import { growToFit, growWithWidth, isSendKey, longTextOf, moveToEnd, setText } from "../composer/text_field.js";
import { Toolbar } from "./actions/toolbar.js";

export function UserMessage({ store, open, id }) {
  open.tick(id).value;
  const [isEditing, setEditing] = useState(false);
  const editButton = useFocusAfterEditing(isEditing);
  const message = open.transcript.messages[id];
  if (!message) return null;
  if (isEditing) {
    const finish = (content) => {
      setEditing(false);
      if (content !== null) store.edit(message, content);
      else store.attachments.clear(store.attachments.places.editPlace(id));
    };
    return html`<${Editor} store=${store} message=${message} finish=${finish} />`;
  }
  const time = entryTimeMs(message.created);
  return html`<article class="message message-user" aria-label=${text.you} id=${`m-${id}`}>
    <h2 class="visually-hidden message-heading">${text.youSaid}</h2>
    ${message.files && html`<${MessageFiles} store=${store} files=${message.files} />`}
    ${message.text && html`<div class="bubble" dir="auto"><${Written} content=${message.text} /></div>`}
    <${Queued} store=${store} open=${open} message=${message} shape=${open.shape.value} />
    <${Toolbar} isInert=${open.isGlimpse}>
      <${BranchStepper} store=${store} open=${open} message=${message} />
      <span class="meta"><${MessageTime} ms=${time} /></span>
      ${message.text && html`<button type="button" class="quiet-button" aria-label=${text.copy} title=${text.copy}
        onClick=${(event) => copyFrom(event.currentTarget, message.text, text.copy)}><${Icon} name="copy" /></button>`}
      <button type="button" class="quiet-button" aria-label=${text.edit} title=${text.edit} ref=${editButton}
        onClick=${() => setEditing(true)}><${Icon} name="pencil" /></button>
      <${CopyLink} store=${store} open=${open} id=${id} />
    </${Toolbar}>
  </article>`;
}

/** Returns the ref of the button that began the editing; it has the focus again after that. */
function useFocusAfterEditing(isEditing) {
  const button = useRef(null);
  const wasEditing = useRef(false);
  useLayoutEffect(() => {
    if (wasEditing.current && !isEditing) button.current?.focus();
    wasEditing.current = isEditing;
  }, [isEditing]);
  return button;
}

/** The text as it was written, with pasted texts folded. */
export function Written({ content }) {
  const { text: own, pastes } = taken(content);
  if (pastes.length === 0) return html`<${LongText} content=${content} />`;
  return html`${own && html`<div><${LongText} content=${own} /></div>`}${pastes.map((paste) => html`<${PastedBlock} content=${paste} />`)}`;
}

/** A message whose answer has not begun, because another one is being written. */
function Queued({ store, open, message }) {
  const reply = open.replyTo(message);
  if (reply?.status !== "queued" || open.answering()[0]?.id === reply.id) return null;
  if (store.answers.stopping.value.has(reply.id)) return html`<p class="message-foot message-foot-shown meta">${text.cancelled}</p>`;
  return html`<p class="message-foot message-foot-shown"><span class="meta">${text.nextInLine}</span>
    <button type="button" class="link-button" onClick=${() => store.answers.stop(reply.id)}>${text.cancelQueued}</button></p>`;
}

function Editor({ store, message, finish }) {
  const field = useRef(null);
  const before = useRef(null);
  before.current ??= fitted(taken(message.text));
  const files = useFiles(store, message);
  const [pastes, setPastes] = useState(before.current.pastes);
  const put = (written) => {
    const fits = fitted(written);
    setText(field.current, fits.text);
    setPastes(fits.pastes);
    growToFit(field.current);
    field.current.focus();
    moveToEnd(field.current);
  };
  useLayoutEffect(() => {
    put(before.current);
    return growWithWidth(field.current);
  }, []);
  const onInput = () => {
    const { value } = field.current;
    if (isTooLongForField(value)) put({ text: value, pastes });
    else growToFit(field.current);
  };
  const foldLong = (event) => {
    const paste = longTextOf(event);
    if (!paste) return;
    event.preventDefault();
    setPastes([...pastes, paste]);
  };
  const inline = (index) => {
    const rest = pastes.filter((_, other) => other !== index);
    put({ text: together(field.current.value.trimEnd(), pastes[index]), pastes: rest });
  };
  const save = () => {
    const value = joined({ text: field.current.value, pastes });
    if (files.isStuck()) return;
    const isChanged = value !== joined(before.current) || files.areChanged();
    finish((value || files.count > 0) && isChanged ? value : null);
  };
  const onKeyDown = (event) => {
    if (isComposing(event)) return event.stopPropagation();
    if (event.key === "Escape") {
      event.stopPropagation();
      finish(null);
    } else if (isSendKey(event)) {
      event.preventDefault();
      save();
    }
  };
  const submit = (event) => {
    event.preventDefault();
    save();
  };
  return html`<form class="message message-user message-editing" data-files-place=${files.place} onSubmit=${submit}>
    ${files.chips}
    <${PastedChips} pastes=${pastes} change=${setPastes} inline=${inline} />
    <textarea class="field" rows="2" dir="auto" aria-label=${text.editLabel} ref=${field}
      onInput=${onInput} onPaste=${foldLong} onDrop=${foldLong} onKeyDown=${onKeyDown}></textarea>
    <div class="form-row">
      <${AttachButton} store=${store} place=${files.place} />
      <span class="meta">${text.editNote}</span>
      <button type="button" class="button" onClick=${() => finish(null)}>${text.cancel}</button>
      <button type="submit" class="button button-primary">${text.saveAndSend}</button>
    </div>
  </form>`;
}

/** The files of the editor: first those of the message. */
function useFiles(store, message) {
  const { attachments } = store;
  const place = attachments.places.editPlace(message.id);
  const before = (message.files ?? []).filter(({ erased }) => !erased);
  useLayoutEffect(() => {
    if (before.length > 0) void attachments.use((attaching) => attaching.addSent(place, before));
  }, []);
  const { length: count } = attachments.at(place);
  const module = count > 0 && lazyModule("files");
  const ids = () => attachments.peekAt(place).map(({ id }) => id).join();
  return {
    place,
    count,
    chips: module ? html`<${module.FileChips} store=${store} place=${place} />` : null,
    isStuck: () => attachments.isStuck(place),
    areChanged: () => ids() !== before.map(({ id }) => id).join(),
  };
}
