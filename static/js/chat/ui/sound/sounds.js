// Sounds among the files of a composer, and of a message.
import { html } from "../../../preact.js";
import { own as files } from "../../files/texts.js";
import { own } from "../../sound/texts.js";
import { Icon } from "../icons.js";
import { Player } from "./player.js";

const originalOf = ({ id }) => `/files/${id}/original`;

/** The address in this browser, or that on the server. */
async function sourceOf(store, file, isOnServer) {
  const address = await store.attachments.use((attaching) => attaching.soundAddress(file)).catch(() => null);
  return address ?? (isOnServer ? originalOf(file) : null);
}

/** In a composer; the children say what becomes of the file. */
export function AttachedSound({ store, file, children }) {
  return html`<div class="file-chip-text">
    <${Player} file=${file} source=${() => sourceOf(store, file, file.state === "ready")} />
    ${file.state !== "ready" && children}
  </div>`;
}

/** @param isOnServer whether the message has been sent */
export function SentSound({ store, file, isOnServer }) {
  return html`<div class="sound-card">
    <div class="sound-card-row">
      <${Player} file=${file} source=${async () => (isOnServer ? originalOf(file) : sourceOf(store, file, false))} />
      ${isOnServer && html`<a class="quiet-button" href=${originalOf(file)} download=${file.name} aria-label=${files.download(file.name)} title=${files.download(file.name)}><${Icon} name="download" /></a>`}
    </div>
    ${file.text && html`<details class="sound-transcript"><summary><${Icon} name="chevron" />${own.transcript}</summary><p dir="auto">${file.text}</p></details>`}
  </div>`;
}
