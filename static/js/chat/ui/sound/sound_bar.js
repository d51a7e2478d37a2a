// The recorder in a composer, in place of the row of buttons, and what is left of recordings that were interrupted.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../../../preact.js";
import { insertAtCaret } from "../../sound/insertion.js";
import { clock, own } from "../../sound/texts.js";
import { MOST_MS } from "../../sound/wav.js";
import { Icon } from "../icons.js";
import { SoundIcon } from "./sound_icons.js";
import { Waveform } from "./waveform.js";

const LAST_MS = 60_000;

/**
 * @param recorder of the page (sound.js)
 * @param place where recordings are attached
 * @param field the text field, where text is inserted
 */
export function SoundBar({ recorder, place, field, canTranscribe }) {
  const phase = recorder.phase.value;
  const act = {
    attach: () => void recorder.attach(place),
    insert: canTranscribe && (() => void recorder.dictate((said) => insertAtCaret(field.current, said))),
    discard: () => recorder.discard(),
  };
  useFocus(phase, field);
  useHiddenPause(recorder);
  return html`<${Said} said=${recorder.said} />
    ${!phase && recorder.interrupted.value.map((head) => html`<${Interrupted} key=${head.id} recorder=${recorder} head=${head} place=${place} />`)}
    ${phase?.kind === "recording" && html`<${Bar} recorder=${recorder} recording=${phase.recording} act=${act} />`}
    ${phase?.kind === "transcribing" && html`<${Transcribing} waits=${phase.waits} act=${act} />`}
    ${phase?.kind === "ended" && html`<${Ended} phase=${phase} act=${act} />`}`;
}

/** A screen reader reads what comes into a region that is there already. */
function Said({ said }) {
  const [shown, setShown] = useState("");
  const current = said.value;
  useEffect(() => setShown(current), [current]);
  return html`<p class="visually-hidden" role="status">${shown}</p>`;
}

/** The recorder has the focus while it is there; then the field, or on a touch screen the button that began it. */
function useFocus(phase, field) {
  const before = useRef(null);
  const kind = phase?.kind ?? null;
  useLayoutEffect(() => {
    const was = before.current;
    before.current = kind;
    if (was === kind) return;
    const form = field.current.form;
    if (kind) form.querySelector(".sound-group")?.focus();
    // Inserted text has the focus already.
    else if (document.activeElement !== field.current) (matchMedia("(hover: hover)").matches ? field.current : form.querySelector(".microphone-button"))?.focus();
  }, [kind]);
}

/** Nothing is recorded that is not seen, and the browser asks before it loses something. */
function useHiddenPause(recorder) {
  useEffect(() => {
    const ask = (event) => recorder.wouldLose && event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => {
      removeEventListener("beforeunload", ask);
      recorder.pause();
    };
  }, [recorder]);
}

function Bar({ recorder, recording, act }) {
  const state = recording.state.value;
  const problem = recording.problem.value;
  const hasSome = recording.elapsedMs.value > 0;
  const isRecording = state === "recording";
  const canGoOn = !recording.isFull;
  const onKeyDown = (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    act.discard();
  };
  return html`<div class=${isRecording ? "sound-group sound-on" : "sound-group"} role="group" aria-label=${own.recorder} tabindex="-1" onKeyDown=${onKeyDown}>
    <${Notice} problem=${problem} hasNoRoom=${recorder.hasNoRoom.value} />
    <div class="sound-bar">
      <button type="button" class="quiet-button" aria-label=${own.cancel} title=${`${own.cancel} (Esc)`} onClick=${act.discard}><${Icon} name="close" /></button>
      ${state === "starting" ? html`<span class="sound-starting meta">${!problem && own.starting}</span>` : html`<${Waveform} recording=${recording} /><${Time} recorder=${recorder} recording=${recording} />`}
      ${state === "starting" && problem && html`<button type="button" class="button" onClick=${() => void recorder.resume()}>${own.tryAgain}</button>`}
      ${state !== "starting" && canGoOn && html`<button type="button" class="quiet-button" aria-label=${isRecording ? own.pause : own.resume} title=${isRecording ? own.pause : own.resume}
        onClick=${() => (isRecording ? recorder.pause() : void recorder.resume())}>${isRecording ? html`<${SoundIcon} name="pause" />` : html`<${Icon} name="microphone" />`}</button>`}
      ${hasSome && html`<${Ends} act=${act} />`}
    </div>
  </div>`;
}

function Notice({ problem, hasNoRoom }) {
  return html`<div role="alert">${problem && html`<p class="sound-notice">${own.problems[problem]}</p>`}
    ${hasNoRoom && html`<p class="sound-notice">${own.noRoom}</p>`}</div>`;
}

function Ends({ act }) {
  return html`${act.insert && html`<button type="button" class="button sound-insert" aria-label=${own.insert} title=${own.insert} onClick=${act.insert}>
      <${SoundIcon} name="insert" /><span>${own.insert}</span></button>`}
    <button type="button" class="round-button" aria-label=${own.attach} title=${own.attach} onClick=${act.attach}><${Icon} name="check" /></button>`;
}

/** Read alone, because it changes often. */
function Time({ recorder, recording }) {
  const ms = recording.elapsedMs.value;
  const isLast = ms > MOST_MS - LAST_MS;
  useEffect(() => {
    if (isLast) recorder.sayMinute();
  }, [isLast]);
  return html`<span class=${isLast ? "sound-time meta-warning" : "sound-time"} role="timer" aria-label=${own.elapsed}>${clock(ms)}</span>`;
}

function Transcribing({ waits, act }) {
  return html`<div class="sound-group" role="group" aria-label=${own.recorder} tabindex="-1">
    <div class="sound-bar">
      <button type="button" class="quiet-button" aria-label=${own.cancel} title=${own.cancel} onClick=${act.discard}><${Icon} name="close" /></button>
      <p class="sound-transcribing" role="status">${waits ? html`<span class="meta-warning">${waits}</span>` : own.transcribing}</p>
      <button type="button" class="quiet-button" aria-label=${own.attach} title=${own.attach} onClick=${act.attach}><${Icon} name="clip" /></button>
    </div>
  </div>`;
}

/** A recording that has ended and is still here. */
function Ended({ phase, act }) {
  return html`<div class="sound-group sound-ended" role="group" aria-label=${own.recorder} tabindex="-1">
    <p class="sound-notice" role="alert">${phase.reason}</p>
    <div class="form-row">
      <button type="button" class="button button-primary" onClick=${act.attach}>${own.attach}</button>
      ${act.insert && html`<button type="button" class="button" onClick=${act.insert}>${phase.canRetry ? own.tryAgain : own.insert}</button>`}
      <button type="button" class="button" onClick=${act.discard}>${own.discard}</button>
    </div>
  </div>`;
}

function Interrupted({ recorder, head, place }) {
  return html`<div class="sound-interrupted" role="group" aria-label=${own.recorder}>
    <${Icon} name="microphone" /><p>${own.interrupted(clock(head.ms))}</p>
    <button type="button" class="link-button" onClick=${() => void recorder.attachInterrupted(head, place)}>${own.attachIt}</button>
    <button type="button" class="link-button" onClick=${() => void recorder.discardInterrupted(head)}>${own.discard}</button>
  </div>`;
}
