import { html, useLayoutEffect, useRef } from "../../../../preact.js";
import { siblingsOf } from "../../../log/fold.js";
import { text } from "../../../text.js";
import { Icon } from "../../icons.js";

// The version that was stepped to, and in which direction, until the person does something else. It is drawn as
// another message, so its own stepper takes the focus, and does so again if the log shows an earlier step meanwhile.
let steppedTo = null;
const forgetStep = () => (steppedTo = null);

function noteStep(id, by) {
  steppedTo = { id, by };
  for (const event of ["keydown", "pointerdown"]) addEventListener(event, forgetStep, { capture: true, once: true });
}

/** Steps through the branches at this place of the chat: ‹ 2/3 ›. */
export function BranchStepper({ store, open, message }) {
  const root = useRef(null);
  useLayoutEffect(() => {
    if (steppedTo?.id !== message.id) return;
    // It stays visible while the text above it is drawn: a hidden button cannot have the focus.
    root.current?.setAttribute("data-stepped", "");
    const [previous, next] = root.current?.querySelectorAll("button") ?? [];
    const button = steppedTo.by > 0 ? next : previous;
    (button?.disabled ? root.current.querySelector("button:enabled") : button)?.focus({ preventScroll: true });
  }, []);
  open.shape.value;
  const siblings = siblingsOf(open.transcript, message);
  if (siblings.length < 2) return null;
  const index = siblings.indexOf(message.id);
  const step = (by) => {
    const to = siblings[index + by];
    noteStep(to, by);
    return store.answers.choose(open.transcript.messages[to]);
  };
  return html`<div class="stepper" role="group" ref=${root} aria-label=${text.versionOf(index + 1, siblings.length)}>
    <button type="button" class="quiet-button" aria-label=${text.previousVersion} disabled=${index === 0}
      onClick=${() => step(-1)}><${Icon} name="left" /></button>
    <span class="meta stepper-count">${index + 1}/${siblings.length}</span>
    <button type="button" class="quiet-button" aria-label=${text.nextVersion} disabled=${index === siblings.length - 1}
      onClick=${() => step(1)}><${Icon} name="right" /></button>
  </div>`;
}
