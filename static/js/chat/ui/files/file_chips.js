// The files of a composer: a chip for each, with its progress and what can be done.
import { html, useEffect, useRef, useState } from "../../../preact.js";
import { own, percent, size } from "../../files/texts.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";
import { lazyModule } from "../lazy_modules.js";

const ICONS = { image: "picture", audio: "microphone" };

/**
 * @param place where they are attached (files/places.js)
 * @param isSpoken whether a screen reader is told what happens to files, here and in editors
 */
export function FileChips({ store, place, isSpoken = false }) {
  const files = store.attachments.at(place);
  return html`${files.length > 0 && html`<ul class="file-chips" aria-label=${own.list}>
      ${files.map((file) => html`<${Chip} key=${file.id} store=${store} file=${file} />`)}
    </ul>`}
    <${BlindNotice} store=${store} files=${files} />
    ${isSpoken && html`<${Said} said=${store.attachments.said} />`}`;
}

/** A screen reader reads what comes into a region that is there already. */
function Said({ said }) {
  const [shown, setShown] = useState("");
  const current = said.value;
  useEffect(() => setShown(current), [current]);
  return html`<p class="visually-hidden" role="status">${shown}</p>`;
}

function Chip({ store, file }) {
  const chip = useRef(null);
  const { name, state, problem } = file;
  const isRefused = state === "refused";
  const act = (work) => void store.attachments.use(work).catch(() => store.toasts.show(text.unreachable, { isProblem: true }));
  const remove = () => {
    const next = neighbourOf(chip.current);
    act((attaching) => attaching.remove(file.id));
    next?.focus();
  };
  const sound = file.kind === "audio" && lazyModule("sound");
  return html`<li class=${`file-chip file-chip-${state}${sound ? " file-chip-sound" : ""}`} ref=${chip}>
    ${sound ? html`<${sound.AttachedSound} store=${store} file=${file}><${State} file=${file} /></${sound.AttachedSound}>` : html`<${Face} store=${store} file=${file} />`}
    ${isRefused && problem?.canRetry && html`<button key="retry" type="button" class="quiet-button" aria-label=${own.retry(name)} title=${own.tryAgain}
      onClick=${() => act((attaching) => attaching.retry(file.id))}><${Icon} name="again" /></button>`}
    <button key="remove" type="button" class="quiet-button file-chip-remove" aria-label=${own.remove(name)} title=${own.remove(name)} onClick=${remove}><${Icon} name="close" /></button>
  </li>`;
}

function Face({ store, file }) {
  const { name, kind, preview, alt } = file;
  const shown = preview ? html`<img src=${preview} alt="" />` : html`<${Icon} name=${ICONS[kind] ?? "file"} />`;
  const describe = async (event) => {
    const opener = event.currentTarget;
    try {
      const { openDescription } = await import("./description.js");
      openDescription(store, file, opener);
    } catch {
      store.toasts.show(text.unreachable, { isProblem: true });
    }
  };
  return html`${preview && kind === "image" && file.state !== "refused"
      ? html`<button type="button" class="file-chip-picture file-chip-describe" aria-label=${own.describe(name)} title=${alt || own.describe(name)} onClick=${describe}>${shown}
          <span class=${alt ? "file-chip-alt file-chip-alt-set" : "file-chip-alt"} data-text=${own.alt}></span></button>`
      : html`<span class="file-chip-picture">${shown}</span>`}
    <span class="file-chip-text">
      <span class="file-chip-name" dir="auto" title=${name}>${name}</span>
      <${State} file=${file} />
    </span>`;
}

function State({ file }) {
  const { state, problem, bytes } = file;
  if (state === "refused") return html`<span class="meta meta-problem">${problem?.message}</span>`;
  if (state === "waiting") return html`<span class="meta meta-warning">${problem?.message}</span>`;
  if (state === "uploading") return html`<${Progress} file=${file} />`;
  return html`<span class="meta">${state === "checking" ? own.checking : size(bytes)}</span>`;
}

/** Read alone, because it changes often. */
function Progress({ file }) {
  const progress = file.progress.value;
  return html`<span class="meta">${size(file.bytes)}</span><progress class="file-chip-progress" aria-label=${file.name} max="1" value=${progress}>${percent(progress)}</progress>`;
}

/** The button to remove the next file, or the previous one; else the field. */
function neighbourOf(chip) {
  const row = chip.nextElementSibling ?? chip.previousElementSibling;
  return row?.querySelector(".file-chip-remove") ?? chip.closest("form")?.querySelector("textarea");
}

/** Says before sending what the model cannot see or hear, and offers one that can. */
function BlindNotice({ store, files }) {
  const kinds = new Set(files.filter(({ state }) => state !== "refused").map(({ kind }) => kind));
  return html`${kinds.has("image") && html`<${Blind} store=${store} input="image" sentences=${own.blindTo.image} />`}
    ${kinds.has("audio") && html`<${Blind} store=${store} input="audio" sentences=${own.blindTo.audio} instead=${store.canTranscribe && own.transcriptInstead} />`}`;
}

/** @param instead says what the model gets in place of the files, if it gets something */
function Blind({ store, input, sentences, instead = null }) {
  const models = store.models.value;
  const model = models.find((one) => one.id === store.model.value);
  if (!model || model.inputs?.includes(input)) return null;
  if (instead) return html`<p class="files-notice files-notice-calm" role="status"><${Icon} name=${ICONS[input]} /><span>${instead(model.name)}</span></p>`;
  const able = models.filter((one) => one.inputs?.includes(input));
  // Somebody who uses a free model is not offered one that costs.
  const other = (model.free && able.find((one) => one.free)) || able[0];
  return html`<p class="files-notice" role="status"><${Icon} name=${ICONS[input]} /><span>${other ? sentences.some(model.name) : sentences.none(model.name)}
    ${other && html` <button type="button" class="link-button" onClick=${() => store.pickModel(other.id)}>${own.useInstead(other.name)}</button>`}</span></p>`;
}

/** Lies over the page while files are dragged over it. */
export function DropTarget() {
  return html`<div class="drop-target" role="status"><p><${Icon} name="clip" />${own.drop}</p></div>`;
}
