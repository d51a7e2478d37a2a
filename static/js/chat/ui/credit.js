import { html } from "../../preact.js";
import { costsOf } from "../costs.js";
import { balanceDollars, dollars } from "../money.js";
import { longDate, shortModelName } from "../format.js";
import { text } from "../text.js";
import { Icon } from "./icons.js";

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
  if (!notice) return null;
  const balance = store.credit.balance.value;
  // A visitor is a guest from the first message on.
  const isGuest = store.user.value?.is_guest ?? true;
  const isUrgent = notice.kind !== "low";
  const freeAt = balance?.free_credit_at && isUrgent ? new Date(balance.free_credit_at) : null;
  return html`<section class=${isUrgent ? "credit-notice credit-notice-urgent" : "credit-notice"} role=${notice.kind === "refused" ? "alert" : "status"}>
    <div class="credit-notice-text">
      <p>${notice.message ?? text.creditNotice(notice.kind, isGuest)}</p>
      ${freeAt && html`<p class="meta">${text.freeCreditOn(longDate(freeAt))}</p>`}
    </div>
    <div class="credit-notice-ways">
      ${isGuest && html`<a class="button button-primary" href=${`/account/signup/?next=${encodeURIComponent(pathOf(store))}`}>${text.signUpForCredit}</a>`}
      ${balance?.can_top_up && html`<a class="button button-primary" href=${billingPath(store)}>${text.addCredit}</a>`}
      ${balance?.can_use_own_keys && isUrgent && html`<a class="link-button" href="/settings/keys">${text.useOwnKey}</a>`}
      <a class="link-button" href=${billingPath(store)}>${text.seeCredit}</a>
      ${notice.kind !== "empty" && html`<button type="button" class="quiet-button" aria-label=${text.dismiss} title=${text.dismiss}
        onClick=${() => store.credit.dismiss()}><${Icon} name="close" /></button>`}
    </div>
  </section>`;
}

/** In the head of the chat: what it has cost, and which model how much. */
export function ChatCost({ store }) {
  const open = store.current.value;
  open?.shape.value;
  const balance = store.credit.balance.value;
  if (!open || !balance) return null;
  const { total, rows } = costsOf(open.transcript);
  if (rows.length === 0 || total === 0) return null;
  return html`<details class="chat-cost" onKeyDown=${closeOnEscape} onFocusOut=${closeWhenLeft}>
    <summary class="chat-cost-total" aria-label=${text.chatCost(dollars(total))} title=${text.chatCost(dollars(total))}>${dollars(total)}</summary>
    <div class="chat-cost-box">
      <table><caption>${text.chatCostTitle}</caption>
        <tbody>${rows.map((row) => html`<tr key=${row.model}>
          <th scope="row">${nameOf(store, row.model)}<span class="meta">${text.answersAndTokens(row.answers, row.tokens)}</span></th>
          <td>${row.cost ? dollars(row.cost) : text.free}</td></tr>`)}</tbody>
      </table>
      <a class="link-button" href=${`/billing/usage?chat=${open.id}`}>${text.allUsage}</a>
    </div>
  </details>`;
}

const pathOf = (store) => (store.chatId.value ? `/c/${store.chatId.value}` : "/");

/** The way back leads to the chat that is shown. */
const billingPath = (store) => `/billing?next=${encodeURIComponent(pathOf(store))}`;

const nameOf = (store, id) => store.models.value.find((model) => model.id === id)?.name ?? shortModelName(id);

function closeOnEscape(event) {
  if (event.key !== "Escape" || !event.currentTarget.open) return;
  event.stopPropagation();
  event.currentTarget.open = false;
  event.currentTarget.querySelector("summary").focus();
}

function closeWhenLeft(event) {
  if (event.relatedTarget && !event.currentTarget.contains(event.relatedTarget)) event.currentTarget.open = false;
}
