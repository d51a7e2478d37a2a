import { html } from "../../../preact.js";
import { balanceDollars } from "../../lib/money.js";
import { text } from "../../text.js";
import { lazyModule } from "../lazy_modules.js";

/** In the sidebar: how much there is, on every device the same. */
export function Balance({ store }) {
  const balance = store.credit.balance.value;
  if (!balance || !store.user.value) return null;
  const isGuest = store.user.value.is_guest;
  return html`<a class=${`balance balance-${balance.level}`} href=${billingPath(store)}>
    <span>${isGuest ? text.guestCredit : text.credit}</span>
    <span class="balance-amount">${balanceDollars(balance.balance_micro_usd)}</span>
  </a>`;
}

/** Above the composer: that credit comes to an end or has, and what can be done about it. */
export function CreditNotice({ store }) {
  const notice = store.credit.notice.value;
  const shown = notice && lazyModule("credit");
  // The place of what is said stays: a screen reader is told of what comes into it, once.
  return shown ? shown.creditNotice(store, notice) : html`<section><div role="status"></div></section>`;
}

export const pathOf = (store) => (store.chatId.value ? `/c/${store.chatId.value}` : "/");

/** The way back leads to the chat that is shown. */
export const billingPath = (store) => `/billing?next=${encodeURIComponent(pathOf(store))}`;
