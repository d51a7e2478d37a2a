import { html } from "../../preact.js";
import { text } from "../text.js";
import { Mark } from "./icons.js";

/** The heading above the composer of the empty page. */
export function EmptyState() {
  return html`<section class="empty">
    <${Mark} />
    <h1>${text.emptyTitle}</h1>
    <p>${text.emptyText}</p>
  </section>`;
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
