import { html } from "../../preact.js";
import { text } from "../text.js";
import { Mark } from "./icons.js";

export function EmptyState({ store }) {
  const use = (example) => store.sending.handBack(example.text);
  return html`<section class="empty">
    <${Mark} />
    <h1>${text.emptyTitle}</h1>
    <p>${text.emptyText}</p>
    <ul class="examples">
      ${text.examples.map((example) => html`<li><button type="button" class="example" onClick=${() => use(example)}>
        <strong>${example.title}</strong><span>${example.text}</span></button></li>`)}
    </ul>
  </section>`;
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
