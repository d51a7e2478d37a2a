import { html } from "../../preact.js";
import { ariaKeys } from "../lib/shortcuts.js";
import { text } from "../text.js";
import { Mark } from "./icons.js";

/** The heading above the composer of the empty page. */
export function EmptyState({ store }) {
  const isTemporary = store.willBeTemporary.value;
  const project = store.projectShown.value;
  const [title, note] = isTemporary ? [text.temporaryTitle, text.temporaryText] : [text.emptyTitle, text.emptyText];
  return html`<section class="empty">
    <${Mark} />
    <h1 dir="auto">${project ? text.projectTitle(project.name) : title}</h1>
    <p role="status">${project ? text.projectText : note}</p>
  </section>`;
}

/** On the empty page: whether the chat that is begun will be a temporary one. */
export function TemporarySwitch({ store }) {
  const isOn = store.willBeTemporary.value;
  return html`<button type="button" role="switch" aria-checked=${isOn} class="temporary-switch" aria-keyshortcuts=${ariaKeys("alt+t")}
    onClick=${() => store.setTemporary(!isOn)}>${text.temporaryChat}<span class="temporary-switch-track"></span></button>`;
}

/** Examples of questions, below the composer of the empty page. A click puts one into the composer. */
export function Examples({ store }) {
  return html`<ul class="examples" aria-label=${text.examplesTitle}>
    ${text.examples.map((example) => html`<li><button type="button" class="example" onClick=${() => store.sending.handBack(example)}>${example}</button></li>`)}
  </ul>`;
}

export function NotHere({ store, title, note }) {
  return html`<section class="empty" role="alert">
    <${Mark} />
    <h1>${title}</h1>
    ${note && html`<p>${note}</p>`}
    <button type="button" class="button button-primary" onClick=${() => store.openChat(null)}>${text.newChat}</button>
  </section>`;
}

/** The placeholder while a chat is loaded. */
export function Skeleton() {
  return html`<div class="transcript" role="status" aria-label=${text.loading}>
    <div class="skeleton skeleton-user"></div>
    <div class="skeleton"></div><div class="skeleton"></div><div class="skeleton skeleton-short"></div>
  </div>`;
}
