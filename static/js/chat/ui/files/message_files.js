// The files of a person's message: pictures, which a click opens in the lightbox, and cards of the other files.
import { html, useEffect, useRef, useState } from "../../../preact.js";
import { isLargerThanThumb, shownSize } from "../../files/layout.js";
import { own, size } from "../../files/texts.js";
import { onceNearViewport } from "../../lib/viewport_observer.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";
import { lazyModule } from "../lazy_modules.js";

const ICONS = { image: "picture", audio: "microphone" };
const originalOf = (file) => `/files/${file.id}/original`;

/**
 * @param isPlain whether the files can only be seen, because the server does not have them yet, or the reader is far away
 * @param isPending whether the server does not have them yet; sound can be played nevertheless
 */
export function MessageFiles({ store, files, isPlain = false, isPending = false }) {
  const { attachments } = store;
  const pictures = files.filter((file) => file.kind === "image" && !file.erased && (attachments.previewOf(file) || file.thumb));
  const sounds = files.filter((file) => file.kind === "audio" && !file.erased);
  const others = files.filter((file) => !pictures.includes(file) && !sounds.includes(file));
  const sound = sounds.length > 0 && (!isPlain || isPending) && lazyModule("sound");
  return html`<div class="message-files">
    ${pictures.length > 0 && html`<ul class=${pictures.length > 1 ? "picture-grid" : "picture-alone"}>
      ${pictures.map((file, index) => html`<li key=${file.id}>
        <${Frame} file=${file} isPlain=${isPlain} open=${(opener) => openPicture(store, pictures, index, opener)}>
          <${Picture} file=${file} preview=${attachments.previewOf(file)} size=${pictures.length === 1 ? shownSize(file) : null} isPlain=${isPlain} /></${Frame}></li>`)}
    </ul>`}
    ${sounds.length > 0 && html`<ul class="sound-list">${sounds.map((file) => html`<li key=${file.id}>
      ${sound ? html`<${sound.SentSound} store=${store} file=${file} isOnServer=${!isPending} />` : html`<${Card} file=${file} isPlain />`}</li>`)}
    </ul>`}
    ${others.length > 0 && html`<ul class="file-cards">${others.map((file) => html`<li key=${file.id}><${Card} file=${file} isPlain=${isPlain} /></li>`)}</ul>`}
  </div>`;
}

/** Show pictures in the lightbox, this one first. */
export async function openPicture(store, pictures, index, opener) {
  try {
    const { openLightbox } = await import("./lightbox.js");
    openLightbox(pictures, index, opener);
  } catch {
    store.toasts.show(text.unreachable, { isProblem: true });
  }
}

export function Frame({ file, isPlain, open, children }) {
  const name = file.alt || file.name;
  if (isPlain) return html`<div class="picture" role="img" aria-label=${name}>${children}</div>`;
  return html`<button type="button" class="picture" aria-label=${own.open(name)} title=${file.name} onClick=${({ currentTarget }) => open(currentTarget)}>${children}</button>`;
}

/**
 * The thumbnail at once, at the size of the picture, and the picture itself near the reader.
 * @param size null for one of many, which are as small as thumbnails
 */
export function Picture({ file, preview, size: shown, isPlain }) {
  const element = useRef(null);
  const [sharp, setSharp] = useState(null);
  const isEnough = preview || !shown || isPlain || !isLargerThanThumb(file);
  const sharpen = async () => setSharp(await loaded(`/files/${file.id}/view`));
  useEffect(() => {
    const scroller = element.current.closest(".scroller");
    if (isEnough || !scroller) return undefined;
    return onceNearViewport(element.current, scroller, () => void sharpen());
  }, [isEnough]);
  const { width, height } = shown ?? {};
  // The address of a preview may be gone by the time at which a lazy picture is loaded.
  return html`<img ref=${element} loading=${preview ? "eager" : "lazy"} src=${sharp ?? preview ?? file.thumb} width=${width} height=${height} alt="" decoding="async" />`;
}

/** The address of a picture once it can be drawn, or null. */
async function loaded(address) {
  const image = new Image();
  image.src = address;
  return image.decode().then(() => address, () => null);
}

function Card({ file, isPlain }) {
  const content = html`<${Icon} name=${ICONS[file.kind] ?? "file"} />
    <span class="file-card-name" dir="auto">${file.name}</span><span class="meta">${factsOf(file)}</span>`;
  if (isPlain || file.erased) return html`<div class="file-card">${content}</div>`;
  return html`<a class="file-card" href=${originalOf(file)} download=${file.name} title=${own.download(file.name)}>${content}</a>`;
}

function factsOf({ pages, bytes, erased }) {
  if (erased) return own.erased;
  return [...(pages ? [own.pages(pages)] : []), size(bytes)].join(" · ");
}
