// The pictures of an answer: each can be looked at, downloaded and changed. Those that were not kept are cards.
import { html } from "../../../preact.js";
import { shownSize } from "../../files/layout.js";
import { own } from "../../files/texts.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";
import { Frame, openPicture, Picture } from "./message_files.js";

/** At most so large, in pixels. */
const MOST = { width: 448, height: 448 };

/** @param isPlain whether the pictures can only be seen, because the reader is far away */
export function AnswerPictures({ store, open, message, isPlain = false }) {
  const { files } = message;
  const shown = files.filter((file) => !file.erased && !file.refused && file.thumb);
  const others = files.filter((file) => !shown.includes(file));
  return html`<div class="answer-pictures">
    ${shown.map((file, index) => html`<figure key=${file.id} class="answer-picture">
      <${Frame} file=${file} isPlain=${isPlain} open=${(opener) => openPicture(store, shown, index, opener)}>
        <${Picture} file=${file} size=${shownSize(file, MOST)} isPlain=${isPlain} /></${Frame}>
      <figcaption class="answer-picture-acts" inert=${isPlain || open?.isGlimpse}>
        <button type="button" class="quiet-button answer-picture-change" onClick=${() => change(store, file)}><${Icon} name="pencil" />${own.change}</button>
        <a class="quiet-button" href=${`/files/${file.id}/original`} download=${file.name} aria-label=${own.download(file.name)} title=${own.download(file.name)}><${Icon} name="download" /></a>
      </figcaption>
    </figure>`)}
    ${others.map((file) => html`<div key=${file.id} class="file-card"><${Icon} name="picture" />
      <span class="file-card-name" dir="auto">${file.name}</span><span class="meta">${whyMissing(file)}</span></div>`)}
  </div>`;
}

function whyMissing({ erased, refused }) {
  if (erased) return own.erased;
  return refused === "storage_full" ? own.noRoomForPicture : own.pictureNotKept;
}

/** Attach the picture to the message that is being written: a model that makes pictures then changes it. */
async function change(store, file) {
  const place = store.attachments.places.composerPlace(store.draftPlace.peek());
  try {
    await store.attachments.use((attaching) => attaching.addExisting(place, file));
    document.querySelector(".composer-field")?.focus();
  } catch {
    store.toasts.show(text.unreachable, { isProblem: true });
  }
}

/** Where a picture will be, while a model makes it. */
export function PicturePlaceholder({ children }) {
  return html`<div class="picture-placeholder" role="status"><${Icon} name="picture" /><p class="progress shimmer">${children}</p></div>`;
}
