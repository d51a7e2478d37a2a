// The pictures of a message over the page, one at a time.
import { html, render, useEffect, useRef, useState } from "../../../preact.js";
import { own } from "../../files/texts.js";
import { isComposing } from "../../lib/input_method.js";
import { Dialog } from "../dialogs/dialog.js";
import { Icon } from "../icons.js";

/**
 * @param files the pictures
 * @param opener the element that gets the focus afterwards
 */
export function openLightbox(files, index, opener) {
  const root = document.createElement("div");
  document.body.append(root);
  const close = () => {
    render(null, root);
    root.remove();
    opener.focus();
  };
  render(html`<${Lightbox} files=${files} first=${index} close=${close} />`, root);
}

function Lightbox({ files, first, close }) {
  const [index, setIndex] = useState(first);
  const [isFull, setFull] = useState(false);
  const file = files[index];
  const go = (by) => {
    setIndex((shown) => (shown + by + files.length) % files.length);
    setFull(false);
  };
  useEffect(() => {
    const onKeyDown = (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (isComposing(event) || !step || files.length < 2 || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      go(document.documentElement.dir === "rtl" ? -step : step);
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  const zoom = isFull ? own.fit : own.fullSize;
  return html`<${Dialog} label=${own.lightbox} kind="lightbox" close=${close}>
    <div class="lightbox-bar">
      <p class="lightbox-title" dir="auto">${file.name}</p>
      ${files.length > 1 && html`<span class="meta" role="status">${own.position(index + 1, files.length)}</span>`}
      <button type="button" class="quiet-button" aria-label=${zoom} title=${zoom} aria-pressed=${isFull} onClick=${() => setFull(!isFull)}><${Icon} name=${isFull ? "fit" : "zoom"} /></button>
      <a class="quiet-button" href=${`/files/${file.id}/original`} download=${file.name} aria-label=${own.downloadOriginal} title=${own.downloadOriginal}><${Icon} name="download" /></a>
      <button type="button" class="quiet-button" aria-label=${own.close} title=${own.close} onClick=${close}><${Icon} name="close" /></button>
    </div>
    <${Stage} key=${file.id} file=${file} isFull=${isFull} toggle=${() => setFull(!isFull)} close=${close} />
    ${file.alt && html`<p class="lightbox-alt meta" dir="auto">${file.alt}</p>`}
    ${files.length > 1 && html`<button type="button" class="quiet-button lightbox-step lightbox-previous" aria-label=${own.previous} title=${own.previous} onClick=${() => go(-1)}><${Icon} name="left" /></button>
      <button type="button" class="quiet-button lightbox-step lightbox-next" aria-label=${own.next} title=${own.next} onClick=${() => go(1)}><${Icon} name="right" /></button>`}
  </${Dialog}>`;
}

/** The thumbnail until the picture is there. In full size it is moved with the arrow keys and the pointer, as any content that scrolls. */
function Stage({ file, isFull, toggle, close }) {
  const stage = useRef(null);
  const [state, setState] = useState("loading");
  const address = `/files/${file.id}/view`;
  useEffect(() => {
    let isWanted = true;
    const image = new Image();
    image.src = address;
    image.decode().then(() => isWanted && setState("there"), () => isWanted && setState("missing"));
    return () => (isWanted = false);
  }, [address]);
  return html`<div class=${isFull ? "lightbox-stage lightbox-full" : "lightbox-stage"} ref=${stage} tabindex=${isFull ? 0 : -1}
    onClick=${({ target, currentTarget }) => target === currentTarget && close()}>
    <img src=${state === "there" ? address : file.thumb} width=${file.width} height=${file.height} alt=${file.alt || file.name} onClick=${toggle} />
    ${state === "missing" && html`<p class="notice" role="status">${own.notThere}</p>`}
  </div>`;
}
