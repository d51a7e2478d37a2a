import { html } from "../../../../preact.js";
import { text } from "../../../text.js";
import { copyFrom } from "./clipboard.js";
import { Icon } from "../../icons.js";

/** Copies the address of one message. */
export function CopyLink({ store, open, id }) {
  return html`<button type="button" class="quiet-button" aria-label=${text.copyLink} title=${text.copyLink}
    onClick=${(event) => copyFrom(event.currentTarget, store.finding.linkTo(open.id, id), text.copyLink)}><${Icon} name="link" /></button>`;
}
