import { html, useEffect, useState } from "../../preact.js";
import { isAnswering } from "../fold.js";
import { text } from "../text.js";
import { Answer } from "./answer.js";
import { PendingMessage, UserMessage } from "./user_message.js";

// A long chat shows its end first; what is above is added while the browser has nothing to do.
const SHOWN_AT_FIRST = 40;
const ADDED_AT_A_TIME = 40;

export function Transcript({ store, open }) {
  open.shape.value;
  const pending = store.outbox.of(open.id).filter((item) => !(item.id in open.transcript.messages));
  const path = cutWhereEdited(open.path(), pending);
  const shown = useShownCount(open.id, path.length);
  const first = Math.max(0, path.length - shown);
  let waitsFor = path.slice(0, first).find(isAnswering) ?? null;
  const rows = path.slice(first).map((message) => {
    const row = message.role === "user"
      ? html`<${UserMessage} key=${message.id} store=${store} open=${open} id=${message.id} />`
      : html`<${Answer} key=${message.id} store=${store} open=${open} id=${message.id} waitsFor=${waitsFor} />`;
    if (message.role !== "user" && isAnswering(message)) waitsFor ??= message;
    return row;
  });
  return html`<div class="transcript">
    ${rows}
    ${pending.map((item) => html`<${PendingMessage} key=${item.id} store=${store} item=${item} />`)}
  </div>`;
}

/** An edit on its way replaces what follows the place it was made at. */
function cutWhereEdited(path, pending) {
  const edit = pending.find((item) => item.edit);
  if (!edit) return path;
  return path.slice(0, path.findIndex((message) => message.id === edit.parent) + 1);
}

function useShownCount(chatId, total) {
  const [shown, setShown] = useState({ chatId, count: SHOWN_AT_FIRST });
  const count = shown.chatId === chatId ? shown.count : SHOWN_AT_FIRST;
  useEffect(() => {
    if (count >= total) return undefined;
    const whenIdle = globalThis.requestIdleCallback ?? ((task) => setTimeout(task, 50));
    const cancel = globalThis.cancelIdleCallback ?? clearTimeout;
    const handle = whenIdle(() => setShown({ chatId, count: count + ADDED_AT_A_TIME }));
    return () => cancel(handle);
  }, [chatId, count, total]);
  return count;
}

export function Skeleton() {
  return html`<div class="transcript" role="status" aria-label=${text.loading}>
    <div class="skeleton skeleton-user"></div>
    <div class="skeleton"></div><div class="skeleton"></div><div class="skeleton skeleton-short"></div>
  </div>`;
}
