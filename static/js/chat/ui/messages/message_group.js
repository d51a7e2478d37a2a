import { html, useEffect, useLayoutEffect, useRef, useState } from "../../../preact.js";
import { onceNearViewport } from "../../lib/viewport_observer.js";
import { plainText, roughHeight } from "../../lib/plain_text.js";
import { text } from "../../text.js";
import { AnswerPictures } from "../files/answer_pictures.js";
import { MessageFiles } from "../files/message_files.js";
import { Answer, modelName } from "./answer.js";
import { LongText } from "./long_text.js";
import { DayMark } from "./times.js";
import { UserMessage } from "./user_message.js";

// About as high as the files of a message are.
const FILES_PX = 240;

/**
 * A few consecutive messages. Far from the reader they are plain text, which the browser's own search finds;
 * near the reader, or with `isFull`, they are drawn in full and stay so. A group outside the viewport is not
 * laid out (content-visibility in transcript.css) and keeps its last height.
 */
export function MessageGroup({ store, open, ids, before, isFull, waitsFor }) {
  const element = useRef(null);
  const [isNear, setNear] = useState(false);
  const wasDrawn = useRef(false);
  const isDrawn = (wasDrawn.current ||= isFull || isNear);
  useEffect(() => {
    if (isDrawn) return undefined;
    return onceNearViewport(element.current, element.current.closest(".scroller"), () => setNear(true));
  }, [isDrawn]);
  const messages = ids.split(" ").map((id) => open.transcript.messages[id]).filter(Boolean);
  const first = useRef(messages);
  useLayoutEffect(() => {
    const height = first.current.reduce((sum, message) => sum + roughHeight(message.text) + (message.files ? FILES_PX : 0), 0);
    element.current.style.containIntrinsicSize = `auto none auto ${height}px`;
  }, []);
  return html`<div class="group" ref=${element}>
    ${messages.map((message, index) => [
      html`<${DayMark} key=${`day-${message.id}`} message=${message} before=${messages[index - 1] ?? open.transcript.messages[before]} />`,
      drawn({ store, open, message, isDrawn, waitsFor }),
    ])}
  </div>`;
}

function drawn({ store, open, message, isDrawn, waitsFor }) {
  if (!isDrawn) return html`<${FarMessage} key=${message.id} store=${store} message=${message} />`;
  if (message.role === "user") return html`<${UserMessage} key=${message.id} store=${store} open=${open} id=${message.id} />`;
  return html`<${Answer} key=${message.id} store=${store} open=${open} id=${message.id} waitsFor=${waitsFor === message.id ? null : waitsFor} />`;
}

function FarMessage({ store, message }) {
  const isUser = message.role === "user";
  return html`<article class=${isUser ? "message message-user" : "message message-answer"} id=${`m-${message.id}`}>
    <h2 class="visually-hidden message-heading">${isUser ? text.youSaid : text.modelSaid(modelName(store, message.model))}</h2>
    ${isUser && message.files && html`<${MessageFiles} store=${store} files=${message.files} isPlain />`}
    ${(message.text || !message.files) && html`<div class=${isUser ? "bubble" : "far-text"} dir="auto"><${LongText} content=${isUser ? message.text : plainText(message.text)} /></div>`}
    ${!isUser && message.files && html`<${AnswerPictures} store=${store} message=${message} isPlain />`}
  </article>`;
}
