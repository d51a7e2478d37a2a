import { html } from "../../../preact.js";
import { text } from "../../text.js";

/** Above the composer of a temporary chat: what it is, and how to keep it. */
export function TemporaryNotice({ store }) {
  const isShown = store.isInTemporary.value;
  const keep = () => {
    void store.keepChat(store.chatId.peek());
    // The button is gone once the chat is kept.
    document.querySelector(".composer-field")?.focus();
  };
  // The status element is always on the page, so that a screen reader announces its content once.
  return html`<div class=${isShown ? "temporary-notice" : ""}>
    <p role="status">${isShown && text.temporaryNotice(store.temporaryHours)}</p>
    ${isShown && html`<button type="button" class="link-button" onClick=${keep}>${text.temporaryKeep}</button>`}
  </div>`;
}
