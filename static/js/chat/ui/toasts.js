import { html } from "../../preact.js";
import { text } from "../text.js";
import { Icon } from "./icons.js";

export function ToastList({ toasts }) {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.items.value.map((item) => html`<div key=${item.id} class=${item.isProblem ? "toast toast-problem" : "toast"}>
      <span>${item.message}</span>
      ${item.run && html`<button type="button" class="link-button" onClick=${() => (item.run(), toasts.dismiss(item.id))}>${item.label}</button>`}
      <button type="button" class="quiet-button" aria-label=${text.dismiss} onClick=${() => toasts.dismiss(item.id)}><${Icon} name="close" /></button>
    </div>`)}
  </div>`;
}
