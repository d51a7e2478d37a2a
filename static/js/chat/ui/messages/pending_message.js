import { html } from "../../../preact.js";
import { CHAT_FULL, CREDIT_HELD, STORAGE_BUSY } from "../../api.js";
import { text } from "../../text.js";
import { own, percent } from "../../files/texts.js";
import { MessageFiles } from "../files/message_files.js";
import { Written } from "./user_message.js";

/** A message that is not in the log yet: being sent, waiting or refused, with the possible actions. */
export function PendingMessage({ store, item }) {
  const isRefused = item.status === "refused";
  return html`<article class="message message-user message-pending" aria-label=${text.you}>
    ${item.files?.length > 0 && html`<${MessageFiles} store=${store} files=${item.files} isPlain isPending />`}
    ${item.text && html`<div class=${isRefused ? "bubble bubble-refused" : "bubble bubble-pending"} dir="auto"><${Written} content=${item.text} /></div>`}
    <div class="message-foot message-foot-shown" role="status">
      <${State} store=${store} item=${item} />
    </div>
  </article>`;
}

const WAITS = { [CREDIT_HELD]: () => text.waitsForCredit, [STORAGE_BUSY]: () => text.waitsForRoom };

function WayOn({ store, item }) {
  if (item.error.code === CHAT_FULL) {
    return html`<button type="button" class="link-button" onClick=${() => store.sending.moveToNewChat(item)}>${text.newChat}</button>`;
  }
  return html`<button type="button" class="link-button" onClick=${() => store.sendQueue.retry(item.id)}>${text.sendAgain}</button>`;
}

function State({ store, item }) {
  if (item.status === "sending" || item.status === "sent") return html`<span class="meta">${text.sending}</span>`;
  const edit = html`<button type="button" class="link-button" onClick=${() => store.sending.edit(item)}>${text.takeBack}</button>`;
  const cancel = html`<button type="button" class="link-button" onClick=${() => store.sending.cancel(item)}>${text.cancelSend}</button>`;
  if (item.status === "refused") {
    return html`<span class="meta meta-problem">${text.notSent(item.error.message)}</span>
      <${WayOn} store=${store} item=${item} />${edit}${cancel}`;
  }
  if (item.status === "uploading") return html`<${Uploading} store=${store} item=${item} />${edit}${cancel}`;
  if (item.status === "held") return html`<span class="meta meta-warning">${text.heldBack}</span>${edit}${cancel}`;
  return html`<span class="meta meta-warning">${WAITS[item.waits]?.() ?? text.notSentYet}</span>
    <button type="button" class="link-button" onClick=${() => store.wakeUp()}>${text.sendNow}</button>${edit}${cancel}`;
}

/** How much of the files is uploaded, or why it does not go on. */
function Uploading({ store, item }) {
  const files = store.attachments.at(store.attachments.places.messagePlace(item.id));
  if (files.some(({ state }) => state === "waiting")) {
    return html`<span class="meta meta-warning">${text.notSentYet}</span><button type="button" class="link-button" onClick=${() => store.wakeUp()}>${text.sendNow}</button>`;
  }
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const done = files.reduce((sum, { bytes, file, progress }) => sum + (file ? bytes : bytes * progress.value), 0);
  return html`<span class="meta">${own.sending(percent(total > 0 ? done / total : 0))}</span>`;
}
