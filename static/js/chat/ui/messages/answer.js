import { html, useEffect, useRef, useState } from "../../../preact.js";
import { endNotes } from "../../log/end_notes.js";
import { seamDetail, seamsLabel } from "../../log/seams.js";
import { withheldNotes } from "../../log/withheld_notes.js";
import { duration, endReason, shortModelName } from "../../lib/format.js";
import { isAnswering } from "../../log/fold.js";
import { entryTimeMs } from "../../lib/ids.js";
import { dollars } from "../../lib/money.js";
import { text } from "../../text.js";
import { BranchStepper } from "./actions/branch_stepper.js";
import { copyFrom } from "./actions/clipboard.js";
import { CopyLink } from "./actions/copy_link.js";
import { own as ownOfFiles } from "../../files/texts.js";
import { AnswerPictures, PicturePlaceholder } from "../files/answer_pictures.js";
import { Icon } from "../icons.js";
import { loadedModules } from "../lazy_modules.js";
import { Markdown } from "./markdown.js";
import { ModelMenu } from "../composer/model_menu.js";
import { Listen, ReadAloud, SpeechOf } from "./actions/read_aloud.js";
import { Ratings } from "./actions/ratings.js";
import { MessageTime } from "./times.js";
import { Toolbar } from "./actions/toolbar.js";
import { AnotherModel, Waiting } from "./waiting.js";

// Errors that more credit would have prevented.
const CREDIT_ERRORS = new Set(["out_of_credit"]);
// Errors that another model may not have.
const MODEL_ERRORS = new Set(["site_key_refused", "site_credit", "site_bad_stream", "model_not_found", "rate_limited", "provider_down",
  "provider_timeout", "bad_request", "no_text", "tool_only", "no_price", "key_missing"]);

// A message is changed in place, and a component with the same props is not drawn again. Components that show
// a part of a message therefore also get its tick.
export function Answer({ store, open, id, waitsFor }) {
  const tick = open.tick(id).value;
  const message = open.transcript.messages[id];
  if (!message) return null;
  const isOpen = isAnswering(message);
  const name = modelName(store, message.model);
  return html`<article class="message message-answer" aria-label=${`${text.assistant}, ${name}`} aria-busy=${isOpen} id=${`m-${id}`}>
    <h2 class="visually-hidden message-heading">${text.modelSaid(name)}</h2>
    <header class="answer-head"><span class="answer-model">${name}</span>
      <${LeftOut} count=${message.left_out} />
      ${message.credit_limit_tokens && isOpen && html`<span class="notice-inline">${text.creditLimit(message.credit_limit_tokens)}</span>`}
    </header>
    ${message.reasoning && html`<${Reasoning} message=${message} tick=${tick} isOpen=${isOpen} />`}
    ${message.text && html`<${Markdown} source=${message.text} isDone=${!isOpen} />`}
    ${message.files && html`<${AnswerPictures} store=${store} open=${open} message=${message} />`}
    <${Progress} store=${store} open=${open} message=${message} tick=${tick} waitsFor=${waitsFor} isStopping=${store.answers.stopping.value.has(id)} />
    ${withheldNotes(message, answerBefore(open, message), (file) => isSound(open, file)).map((note) => html`<p class="notice" key=${note}>${note}</p>`)}
    <${Outcome} store=${store} open=${open} message=${message} tick=${tick} />
    ${isOpen && message.sound && html`<${Listen} store=${store} open=${open} message=${message} />`}
    ${!isOpen && html`<${AnswerFoot} store=${store} open=${open} message=${message} tick=${tick} />`}
    <${SpeechOf} id=${id} audio=${message.audio} />
  </article>`;
}

function answerBefore(open, message) {
  const { messages } = open.transcript;
  return messages[messages[message.parent]?.parent] ?? null;
}

function isSound(open, id) {
  return Object.values(open.transcript.messages).some(({ files }) => files?.some((file) => file.id === id && file.kind === "audio"));
}

export function modelName(store, id) {
  if (!id) return text.assistant;
  return store.models.value.find((model) => model.id === id)?.name ?? shortModelName(id);
}

const makesPictures = (store, id) => store.models.value.find((model) => model.id === id)?.outputs?.includes("image") ?? false;

function LeftOut({ count }) {
  return count ? html`<span class="notice-inline">${text.leftOut(count)}</span>` : null;
}

/** The reasoning of the model, folded; drawn only when it is opened. */
function Reasoning({ message, tick, isOpen }) {
  const [isShown, setShown] = useState(false);
  const isThinking = isOpen && !message.text;
  return html`<details class="reasoning" onToggle=${(event) => setShown(event.currentTarget.open)}>
    <summary><${Icon} name="chevron" /><${ReasoningLabel} message=${message} tick=${tick} isThinking=${isThinking} /></summary>
    ${isShown && html`<div class="reasoning-text"><${Markdown} source=${message.reasoning} isDone=${!isThinking} /></div>`}
  </details>`;
}

function ReasoningLabel({ message, isThinking }) {
  const seconds = useSecondsSince(isThinking && message.started ? entryTimeMs(message.started) : null);
  // Until the end of the answer brings the measured duration, that which was shown last.
  const lastShown = useRef(null);
  if (isThinking) lastShown.current = seconds;
  if (isThinking) return html`<span class="shimmer">${seconds === null ? text.thinking : text.thinkingFor(duration(seconds * 1000, { isWhole: true }))}</span>`;
  if (message.reasoning_ms) return text.thoughtFor(duration(message.reasoning_ms));
  return lastShown.current ? text.thoughtFor(duration(lastShown.current * 1000, { isWhole: true })) : text.thought;
}

/** Whole seconds since `startMs`, updated every second; null for null. */
function useSecondsSince(startMs) {
  const [nowMs, setNow] = useState(Date.now);
  useEffect(() => {
    if (startMs === null) return undefined;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [startMs]);
  // The clocks of the server and the device may differ a little.
  return startMs === null ? null : Math.max(0, Math.floor((nowMs - startMs) / 1000));
}

function Progress({ store, open, message, waitsFor, isStopping }) {
  if (!isAnswering(message)) return null;
  if (isStopping) return html`<p class="progress">${text.stopping}</p>`;
  if (message.status === "queued" && waitsFor) return html`<p class="progress">${text.waitingForOther}</p>`;
  if (message.waiting) return html`<${Waiting} key=${message.waiting.at} store=${store} open=${open} message=${message} />`;
  if (message.text || message.files) return null;
  if (message.status === "running" && makesPictures(store, message.model)) return html`<${PicturePlaceholder}>${ownOfFiles.making}</${PicturePlaceholder}>`;
  if (message.reasoning) return null;
  return html`<p class="progress shimmer">${message.status === "queued" ? text.starting : text.thinking}</p>`;
}

/** A notice about an answer that did not end normally, with the possible actions. */
function Outcome({ store, open, message }) {
  open.shape.value;
  const isLast = !open.isGlimpse && open.path().at(-1)?.id === message.id;
  if (open.damaged.value === message.id) return html`<p class="notice notice-problem" role="alert">${text.damaged}</p>`;
  if (message.status === "error") return failure({ store, open, message, isLast });
  if (message.status === "stopped") {
    return html`<p class="outcome meta">${message.text || message.files ? text.stopped : text.stoppedEmpty}
      ${isLast && open.answering().length === 0 && html` <button type="button" class="link-button" onClick=${() => store.answers.goOn(message.id)}>${text.continue}</button>`}</p>`;
  }
  if (message.finish === "length" && message.credit_limit_tokens) {
    return html`<p class="notice">${text.creditLimitReached} <a class="link-button" href=${`/billing?next=/c/${open.id}`}>${text.seeCredit}</a></p>`;
  }
  const notes = message.status === "done" && message.role === "assistant" ? endNotes(message) : [];
  return notes.map((note) => html`<p class="notice">${note}</p>`);
}

function failure({ store, open, message, isLast }) {
  return html`<div class="notice notice-acts notice-problem" role="alert">
    <p>${endReason(message.error)}</p>
    ${CREDIT_ERRORS.has(message.error.code) && html`<a class="button button-primary" href=${`/billing?next=/c/${open.id}`}>${text.seeCredit}</a>`}
    ${isLast && MODEL_ERRORS.has(message.error.code) && html`<${AnotherModel} store=${store} message=${message} onPick=${(id) => store.answers.regenerate(message, id)} />`}
    ${isLast && html`<button type="button" class="button" onClick=${() => store.answers.goOn(message.id)}>
      <${Icon} name=${message.text ? "play" : "again"} />${message.text ? text.continue : text.tryAgain}</button>`}
  </div>`;
}

/** The answer as formatted text; null until the modules that draw answers are loaded. */
const richTextOf = (source) => loadedModules.peek().reading?.richText(source) ?? null;

function AnswerFoot({ store, open, message, tick }) {
  const time = entryTimeMs(message.created);
  return html`<${Toolbar} isInert=${open.isGlimpse}>
    <${BranchStepper} store=${store} open=${open} message=${message} />
    <span class="meta foot-facts">
      <${MessageTime} ms=${time}>
        ${message.duration_ms !== null && html`<span>${duration(message.duration_ms)}</span>`}
        ${message.usage?.completion_tokens != null && html`<span>${text.tokens(message.usage.completion_tokens)}</span>`}
        ${message.cost_micro_usd ? html`<span title=${text.costOf}>${dollars(message.cost_micro_usd)}</span>` : null}
      </${MessageTime}>
    </span>
    ${(message.text || !message.files) && html`<button type="button" class="quiet-button" aria-label=${text.copyAnswer} title=${text.copyAnswer}
      onClick=${(event) => copyFrom(event.currentTarget, message.text, text.copyAnswer, richTextOf(message.text))}><${Icon} name="copy" /></button>`}
    <button type="button" class="quiet-button" aria-label=${text.regenerate} title=${text.regenerate}
      onClick=${() => store.answers.regenerate(message, message.model)}><${Icon} name="again" /></button>
    <${ModelMenu} store=${store} selected=${message.model} onPick=${(id) => store.answers.regenerate(message, id)}
      label=${text.regenerateWith} trigger=${html`<${Icon} name="chevron" />`} triggerClass="quiet-button" />
    ${message.text && html`<${ReadAloud} store=${store} open=${open} message=${message} audio=${message.audio} />`}
    <${CopyLink} store=${store} open=${open} id=${message.id} />
    ${(message.text || message.files) && html`<${Ratings} store=${store} open=${open} message=${message} tick=${tick} />`}
    ${message.seams.length > 0 && html`<${Seams} seams=${message.seams} />`}
  </${Toolbar}>`;
}

function Seams({ seams }) {
  return html`<details class="seams">
    <summary class="meta">${seamsLabel(seams)}</summary>
    <ul>${seams.map((seam) => html`<li>${seamDetail(seam)}</li>`)}</ul>
  </details>`;
}
