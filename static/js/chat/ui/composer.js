import { html, useEffect, useLayoutEffect, useRef, useState } from "../../preact.js";
import { shortModelName } from "../format.js";
import { preferences } from "../preferences.js";
import { draftOf, saveDraft } from "../storage.js";
import { text } from "../text.js";
import { Icon, StopIcon } from "./icons.js";
import { ModelMenu } from "./model_menu.js";
import { growToFit, isSendKey } from "./text_field.js";

export function Composer({ store, onSend }) {
  const field = useRef(null);
  const chatId = store.chatId.value;
  const [isEmpty, setEmpty] = useState(true);
  const isRunning = useIsAnswering(store);
  const models = store.models.value;
  const model = models.find((candidate) => candidate.id === store.model.value);

  const put = (content) => {
    field.current.value = content;
    setEmpty(!content.trim());
    growToFit(field.current);
  };
  useLayoutEffect(() => {
    put(draftOf(chatId));
    if (matchMedia("(hover: hover)").matches) field.current.focus();
  }, [chatId]);
  const handedBack = store.handedBack.value;
  useEffect(() => {
    if (!handedBack) return;
    const rest = field.current.value.trim();
    put(rest ? `${handedBack.text}\n\n${rest}` : handedBack.text);
    saveDraft(chatId, field.current.value);
    field.current.focus();
  }, [handedBack]);

  const send = () => {
    const content = field.current.value.trim();
    if (!content || !model) return;
    put("");
    saveDraft(chatId, "");
    store.send(content);
    onSend();
    field.current.focus();
  };
  const onInput = () => {
    setEmpty(!field.current.value.trim());
    growToFit(field.current);
    saveDraft(chatId, field.current.value);
  };
  const onKeyDown = (event) => {
    if (!isSendKey(event)) return;
    event.preventDefault();
    send();
  };
  const submit = (event) => {
    event.preventDefault();
    send();
  };
  return html`<form class="composer" onSubmit=${submit}>
    <textarea class="composer-field" rows="1" dir="auto" aria-label=${text.composerLabel} placeholder=${text.composerPlaceholder}
      title=${text.sendHints[preferences.value.send_key]} enterkeyhint="send" autocomplete="off" ref=${field} onInput=${onInput} onKeyDown=${onKeyDown}></textarea>
    <div class="composer-row">
      <${ModelMenu} models=${models} selected=${model?.id} onPick=${(id) => store.pickModel(id)} label=${text.chooseModel}
        triggerClass="model-button" trigger=${html`<span>${model?.name ?? shortModelName(model?.id ?? text.model)}</span><${Icon} name="chevron" />`} />
      ${models.length === 0 && html`<span class="meta meta-warning">${text.noModel}</span>`}
      <span class="spacer"></span>
      ${isRunning && html`<button type="button" class="round-button round-button-stop" aria-label=${text.stop} title=${`${text.stop} (Esc)`}
        onClick=${() => store.stopAll()}><${StopIcon} /></button>`}
      ${(!isRunning || !isEmpty) && html`<button type="submit" class="round-button" aria-label=${text.send} title=${text.send}
        disabled=${isEmpty || !model}><${Icon} name="send" /></button>`}
    </div>
  </form>`;
}

function useIsAnswering(store) {
  const open = store.current.value;
  open?.shape.value;
  return (open?.answering().length ?? 0) > 0;
}
