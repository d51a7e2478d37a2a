// The files of a composer: a chip for each, with its progress and what can be done.
import { html, useEffect, useRef, useState } from "../../../preact.js";
import { own, percent, size } from "../../files/texts.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";

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
  const { name, state, problem, preview } = file;
  const isRefused = state === "refused";
  const act = (work) => void store.attachments.use(work).catch(() => store.toasts.show(text.unreachable, { isProblem: true }));
  const remove = () => {
    const next = neighbourOf(chip.current);
    act((attaching) => attaching.remove(file.id));
    next?.focus();
  };
  return html`<li class=${`file-chip file-chip-${state}`} ref=${chip}>
    <span class="file-chip-picture">${preview ? html`<img src=${preview} alt="" />` : html`<${Icon} name=${file.kind === "image" ? "picture" : "file"} />`}</span>
    <span class="file-chip-text">
      <span class="file-chip-name" dir="auto" title=${name}>${name}</span>
      <${State} file=${file} />
    </span>
    ${isRefused && problem?.canRetry && html`<button key="retry" type="button" class="quiet-button" aria-label=${own.retry(name)} title=${own.tryAgain}
      onClick=${() => act((attaching) => attaching.retry(file.id))}><${Icon} name="again" /></button>`}
    <button key="remove" type="button" class="quiet-button file-chip-remove" aria-label=${own.remove(name)} title=${own.remove(name)} onClick=${remove}><${Icon} name="close" /></button>
  </li>`;
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

/** Says before sending that the model cannot see a picture, and offers one that can. */
function BlindNotice({ store, files }) {
  const models = store.models.value;
  const model = models.find((one) => one.id === store.model.value);
  if (!model || model.inputs?.includes("image") || !files.some(({ kind, state }) => kind === "image" && state !== "refused")) return null;
  const seeing = models.filter((one) => one.inputs?.includes("image"));
  // Somebody who uses a free model is not offered one that costs.
  const other = (model.free && seeing.find((one) => one.free)) || seeing[0];
  return html`<p class="files-notice" role="status"><${Icon} name="picture" /><span>${other ? own.blind(model.name) : own.blindAlone(model.name)}
    ${other && html` <button type="button" class="link-button" onClick=${() => store.pickModel(other.id)}>${own.useSeeing(other.name)}</button>`}</span></p>`;
}

/** Lies over the page while files are dragged over it. */
export function DropTarget() {
  return html`<div class="drop-target" role="status"><p><${Icon} name="clip" />${own.drop}</p></div>`;
}
