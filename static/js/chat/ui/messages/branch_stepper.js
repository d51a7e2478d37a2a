import { html } from "../../../preact.js";
import { siblingsOf } from "../../log/fold.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";

/** Steps through the branches at this place of the chat: ‹ 2/3 ›. */
export function BranchStepper({ store, open, message }) {
  open.shape.value;
  const siblings = siblingsOf(open.transcript, message);
  if (siblings.length < 2) return null;
  const index = siblings.indexOf(message.id);
  const step = (to) => store.answers.choose(open.transcript.messages[siblings[to]]);
  return html`<div class="stepper" role="group" aria-label=${text.versionOf(index + 1, siblings.length)}>
    <button type="button" class="quiet-button" aria-label=${text.previousVersion} disabled=${index === 0}
      onClick=${() => step(index - 1)}><${Icon} name="left" /></button>
    <span class="meta stepper-count">${index + 1}/${siblings.length}</span>
    <button type="button" class="quiet-button" aria-label=${text.nextVersion} disabled=${index === siblings.length - 1}
      onClick=${() => step(index + 1)}><${Icon} name="right" /></button>
  </div>`;
}
