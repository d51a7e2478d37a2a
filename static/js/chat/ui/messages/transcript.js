import { html, useEffect, useMemo, useRef, useState } from "../../../preact.js";
import { isAnswering } from "../../log/fold.js";
import { makeRoomForKeyboard } from "../../lib/on_screen_keyboard.js";
import { runWhenIdle } from "../../lib/idle_tasks.js";
import { MessageGroup } from "./message_group.js";
import { PendingMessage } from "./pending_message.js";
import { useWholeChat } from "./whole_chat.js";

const GROUP = 12;
// A chat shows its end first. The messages above follow when the browser is idle: in a chat of usual length
// they are drawn in full, in a long one as plain text until the reader comes near.
const GROUPS_AT_FIRST = 3;
const GROUPS_AT_A_TIME = 3;
const FAR_GROUPS_AT_A_TIME = 8;
const MOST_WHOLE_GROUPS = 24;
const MOST_PRINTED_GROUPS = 200;
const GROUPS_ABOVE_TARGET = 1;

export function Transcript({ store, open }) {
  const shape = open.shape.value;
  const pending = store.sendQueue.of(open.id).filter((item) => !(item.id in open.transcript.messages));
  const edited = pending.find((item) => item.edit)?.id ?? null;
  const { groups, answering } = useMemo(() => groupsOf(cutWhereEdited(open.path(), pending)), [open, shape, edited]);
  // A message to scroll to is drawn together with everything below it.
  const wanted = store.finding.target.value?.message ?? store.places.wanted.value?.id.slice(2);
  const place = wanted ? groups.findIndex((group) => group.ids.includes(wanted)) : -1;
  useEffect(() => makeRoomForKeyboard(), []);
  const { isWanted, isPrinted } = useWholeChat(open.id);
  const needed = place < 0 ? 0 : groups.length - place + GROUPS_ABOVE_TARGET;
  const shown = useShownCount(open.id, groups.length, isWanted ? groups.length : needed);
  const mostWhole = isPrinted ? MOST_PRINTED_GROUPS : MOST_WHOLE_GROUPS;
  const hasSent = useHasSent(open.id, pending.length > 0);
  const firstShown = Math.max(0, groups.length - shown);
  return html`<div class=${hasSent ? "transcript transcript-fresh" : "transcript"}>
    ${groups.slice(firstShown).map((group, offset) => {
      const index = firstShown + offset;
      return html`<${MessageGroup} key=${`${open.id}:${index}`} store=${store} open=${open} ids=${group.ids} before=${group.before} isFull=${groups.length - index <= mostWhole}
        waitsFor=${group.isAnswering ? answering.id : null} />`;
    })}
    ${pending.map((item) => html`<${PendingMessage} key=${item.id} store=${store} item=${item} />`)}
  </div>`;
}

/** Groups the messages from the start, so that a new message changes only the last group. */
function groupsOf(path) {
  const groups = [];
  for (let start = 0; start < path.length; start += GROUP) {
    const messages = path.slice(start, start + GROUP);
    groups.push({ ids: messages.map(({ id }) => id).join(" "), before: path[start - 1]?.id, isAnswering: messages.some(isAnswering) });
  }
  return { groups, answering: path.find(isAnswering) ?? null };
}

/** The path up to the place of a pending edit, which replaces the messages below it. */
function cutWhereEdited(path, pending) {
  const edit = pending.find((item) => item.edit);
  if (!edit) return path;
  return path.slice(0, path.findIndex((message) => message.id === edit.parent) + 1);
}

/** Whether a message was sent since the chat is on screen; the CSS then reserves room for the answer. */
function useHasSent(chatId, isSending) {
  const sent = useRef(null);
  if (isSending) sent.current = chatId;
  return sent.current === chatId;
}

function useShownCount(chatId, total, atLeast) {
  const [shown, setShown] = useState({ chatId, count: GROUPS_AT_FIRST });
  const needed = useRef({ chatId, count: 0 });
  if (needed.current.chatId !== chatId) needed.current = { chatId, count: 0 };
  needed.current.count = Math.max(needed.current.count, atLeast);
  const count = Math.max(shown.chatId === chatId ? shown.count : GROUPS_AT_FIRST, needed.current.count);
  useEffect(() => {
    if (count >= total) return undefined;
    let isWanted = true;
    const more = count < MOST_WHOLE_GROUPS ? GROUPS_AT_A_TIME : FAR_GROUPS_AT_A_TIME;
    runWhenIdle(() => {
      if (isWanted) setShown({ chatId, count: count + more });
    });
    return () => (isWanted = false);
  }, [chatId, count, total]);
  return count;
}
