import { html } from "../../../preact.js";
import { balanceDollars } from "../../lib/money.js";
import { text } from "../../text.js";
import { lazyModule } from "../lazy_modules.js";

/** The balance, beside the name of the person. */
export function Balance({ store }) {
  const balance = store.credit.balance.value;
  if (!balance) return null;
  return html`<span class=${`balance balance-${balance.level}`}><span class="visually-hidden">${text.credit}: </span>
    <span class="balance-amount">${balanceDollars(balance.balance_micro_usd)}</span></span>`;
}

/** The notice above the composer that credit is low or used up, with the possible actions. */
export function CreditNotice({ store }) {
  const notice = store.credit.notice.value;
  const shown = notice && lazyModule("credit");
  // The status element is always on the page, so that a screen reader announces its content once.
  return shown ? shown.creditNotice(store, notice) : html`<section><div role="status"></div></section>`;
}

export const pathOf = (store) => (store.chatId.value ? `/c/${store.chatId.value}` : "/");

/** The link back from there leads to the chat on screen. */
export const billingPath = (store) => `/billing?next=${encodeURIComponent(pathOf(store))}`;
