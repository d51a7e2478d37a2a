import { html, useEffect, useLayoutEffect, useRef, useState } from "../../../preact.js";
import { shortModelName } from "../../lib/format.js";
import { InputHistory } from "../../compose/input_history.js";
import { isComposing } from "../../lib/input_method.js";
import { fitted, isTooLongForField, joined, taken, together, trimmed } from "../../compose/pasted.js";
import { composerPlace } from "../../files/places.js";
import { preferences } from "../../preferences.js";
import { text } from "../../text.js";
import { Icon, StopIcon } from "../icons.js";
import { AttachButton } from "./attach_button.js";
import { MicrophoneButton, useRecorder } from "./microphone_button.js";
import { ModelMenu } from "./model_menu.js";
import { lazyModule, loadedModules } from "../lazy_modules.js";
import { growToFit, growWithWidth, isSendKey, longTextOf, moveToEnd, setText } from "./text_field.js";

// The server's limit for a draft.
const MOST_PASTES = 20;

export function Composer({ store, onSend }) {
  const field = useRef(null);
  const draft = useDraft(store, field);
  useQuotations(store, field, draft);
  const history = useRef(new InputHistory(() => writtenIn(store.current.peek()), (sent) => joined(shownOf(sent))));
  const isRunning = useIsAnswering(store);
  const prompts = usePrompts(store, field, draft);
  const models = store.models.value;
  const model = models.find((candidate) => candidate.id === store.model.value);
  const sendKey = preferences.value.send_key;
  const place = composerPlace(store.draftPlace.value);
  const hasFiles = store.attachments.at(place).length > 0;
  const isEmpty = draft.isEmpty && !hasFiles;

  const send = () => {
    const content = joined({ text: field.current.value, pastes: draft.pastes });
    if (!(content || hasFiles) || !model || store.attachments.isStuck(place)) return;
    draft.put({ text: "", pastes: [] });
    store.send(content);
    onSend();
    field.current.focus();
  };
  const recall = (content) => {
    if (content === null) return false;
    draft.put(taken(content));
    moveToEnd(field.current);
    return true;
  };
  const onKeyDown = (event) => {
    if (isComposing(event) || prompts.takeKey(event)) return;
    const isPlain = !(event.shiftKey || event.ctrlKey || event.metaKey || event.altKey);
    const shown = joined({ text: field.current.value, pastes: draft.pastes });
    const isUp = event.key === "ArrowUp" && isPlain && recall(history.current.up(shown));
    const isDown = event.key === "ArrowDown" && isPlain && recall(history.current.down(shown));
    if (isUp || isDown) event.preventDefault();
    if (!isSendKey(event)) return;
    event.preventDefault();
    // A key that is held down sends once.
    if (!event.repeat) send();
  };
  const submit = (event) => {
    event.preventDefault();
    send();
  };
  const pickModel = (id) => {
    store.pickModel(id);
    // On a touch screen the keyboard would cover half of the chat.
    if (matchMedia("(hover: hover)").matches) field.current.focus();
  };
  const foldLong = (event) => fold(event, { store, draft });
  const recorder = useRecorder(store, field, place);
  const modelName = model?.name ?? shortModelName(model?.id ?? text.model);
  // It stays after the last file, to say that this one was removed.
  const files = hasFiles ? lazyModule("files") : loadedModules.value.files;
  const chips = draft.pastes.length > 0 && lazyModule("pasted");
  return html`<form class="composer" onSubmit=${submit}>
    ${files && html`<${files.FileChips} store=${store} place=${place} isSpoken />`}
    ${chips && html`<${chips.PastedChips} pastes=${draft.pastes} change=${draft.changePastes} inline=${draft.inline} />`}
    ${prompts.list}
    <textarea class="composer-field" rows="1" dir="auto" aria-label=${text.composerLabel} placeholder=${text.composerPlaceholder}
      title=${text.sendHints[sendKey]} enterkeyhint=${sendKey === "enter" ? "send" : "enter"} autocomplete="off"
      ref=${field} onInput=${() => (draft.typed(), prompts.seek())} onKeyDown=${onKeyDown} onPaste=${foldLong} onDrop=${foldLong}></textarea>
    ${recorder.bar}
    <div class="composer-row" hidden=${recorder.isShown}>
      <${ModelMenu} store=${store} selected=${model?.id} onPick=${pickModel} label=${`${text.chooseModel}: ${modelName}`}
        triggerClass="model-button" trigger=${html`<span>${modelName}</span><${Icon} name="chevron" />`} />
      ${models.length === 0 && html`<span class="meta meta-warning">${text.noModel}</span>`}
      <span class="spacer"></span>
      <${AttachButton} store=${store} place=${place} />
      <${MicrophoneButton} store=${store} />
      <${RoundButtons} store=${store} isRunning=${isRunning} isEmpty=${isEmpty} canSend=${Boolean(model)} />
    </div>
  </form>`;
}

function RoundButtons({ store, isRunning, isEmpty, canSend }) {
  return html`${isRunning && html`<button type="button" class="round-button round-button-stop" aria-label=${text.stop} title=${`${text.stop} (Esc)`}
      onClick=${() => store.answers.stopAll()}><${StopIcon} /></button>`}
    ${(!isRunning || !isEmpty) && html`<button type="submit" class="round-button" aria-label=${text.send} title=${isRunning ? text.sendNext : text.send}
      disabled=${isEmpty || !canSend}><${Icon} name="send" /></button>`}`;
}

/** Folds what is pasted or dropped if it is long. A message has only so many folded texts; further ones are put into the text. */
function fold(event, { store, draft }) {
  const paste = longTextOf(event);
  if (!paste) return;
  const { value } = event.currentTarget;
  const { pastes } = draft;
  const isRoom = pastes.length < MOST_PASTES;
  if (!isRoom) store.toasts.show(text.pastedTooMany);
  if (!isRoom && !isTooLongForField(paste)) return;
  event.preventDefault();
  draft.put(isRoom ? { text: value, pastes: [...pastes, paste] } : { text: together(value, paste), pastes });
}

/** The draft in the composer: the text, which is stored in the field itself, and the pasted texts. */
function useDraft(store, field) {
  const place = store.draftPlace.value;
  const [pastes, setPastes] = useState([]);
  const [hasText, setHasText] = useState(false);
  const show = (draft) => {
    const fits = fitted(draft, MOST_PASTES);
    setText(field.current, fits.text);
    setHasText(Boolean(fits.text.trim()));
    setPastes(fits.pastes);
    growToFit(field.current);
    return fits;
  };
  const put = (draft) => store.drafts.set(place, show(draft));
  /** Keep what is in the field, and the caret where it is. */
  const keep = (long) => {
    const written = { text: field.current.value, pastes: long };
    if (isTooLongForField(written.text)) return put(written);
    setHasText(Boolean(written.text.trim()));
    setPastes(long);
    growToFit(field.current);
    store.drafts.set(place, written);
  };
  /** Take over a text that was begun before the scripts had come; it follows a draft that was kept. */
  const adopt = (kept, begun) => {
    if (kept.text && kept.text !== begun) field.current.setRangeText(`${kept.text}\n\n`, 0, 0, "preserve");
    keep(kept.pastes);
  };
  useLayoutEffect(() => growWithWidth(field.current), []);
  const isFirst = useRef(true);
  useLayoutEffect(() => {
    const kept = store.drafts.get(place);
    const begun = isFirst.current ? field.current.value : "";
    isFirst.current = false;
    if (begun) adopt(kept, begun);
    else show(kept);
    if (matchMedia("(hover: hover)").matches) field.current.focus();
    // The server's page gives the focus to the field, and a phone would then show its keyboard.
    else if (!begun && !navigator.userActivation?.hasBeenActive) field.current.blur();
  }, [place]);

  const arrived = store.drafts.arrived.value;
  useEffect(() => {
    if (!arrived || arrived.chat !== place) return;
    const draft = store.drafts.get(place);
    // Another tab of this browser may have stored it first. If the draft is shown already, keep the caret.
    if (draft.text !== field.current.value || draft.pastes.join() !== pastes.join()) show(draft);
  }, [arrived]);

  const handedBack = store.sending.handedBack.value;
  useEffect(() => {
    if (!handedBack || handedBack.isTaken) return;
    handedBack.isTaken = true;
    const rest = store.drafts.get(place);
    const back = taken(handedBack.text);
    const isThere = joined(rest) === joined(back);
    put(isThere ? back : { text: together(back.text, trimmed(rest.text)), pastes: [...back.pastes, ...rest.pastes] });
    field.current.focus();
  }, [handedBack]);

  const changePastes = (next) => put({ text: field.current.value, pastes: next });
  return {
    pastes,
    isEmpty: !hasText && pastes.length === 0,
    put,
    changePastes,
    typed: () => keep(pastes),
    inline: (index) => {
      const content = together(field.current.value.trimEnd(), pastes[index]);
      put({ text: content, pastes: pastes.filter((_, other) => other !== index) });
      field.current.focus();
    },
  };
}

/** The list of saved prompts while the message begins with "/". Its code is loaded when it is first needed. */
function usePrompts(store, field, draft) {
  const [query, setQuery] = useState(null);
  const keys = useRef(null);
  const isSeeking = query !== null && store.user.value && field.current.value === `/${query}`;
  const menus = isSeeking && lazyModule("menus");
  return {
    list: menus && html`<${menus.PromptList} store=${store} field=${field} draft=${draft} query=${query} keys=${keys} close=${() => setQuery(null)} />`,
    seek: () => setQuery(/^\/(.*)$/.exec(field.current.value)?.[1] ?? null),
    takeKey: (event) => keys.current?.(event) ?? false,
  };
}

/** Adds quotations to the end of the text. */
function useQuotations(store, field, draft) {
  const quoted = store.quoted.value;
  useEffect(() => {
    if (!quoted || quoted.isTaken) return;
    quoted.isTaken = true;
    const before = field.current.value.trimEnd();
    draft.put({ text: `${together(before, quoted.text)}\n\n`, pastes: draft.pastes });
    field.current.focus();
    moveToEnd(field.current);
  }, [quoted]);
}

/** A sent message as the composer shows it. */
const shownOf = (sent) => fitted(taken(sent), MOST_PASTES);

/** The texts that the person has sent in this chat, oldest first. */
function writtenIn(open) {
  return (open?.path() ?? []).filter((message) => message.role === "user" && message.text).map((message) => message.text);
}

function useIsAnswering(store) {
  const open = store.current.value;
  open?.shape.value;
  return (open?.answering().length ?? 0) > 0;
}
