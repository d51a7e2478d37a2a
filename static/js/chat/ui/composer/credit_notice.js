// The notice above the composer when credit runs low or is used up, with the ways to go on.
import { html } from "../../../preact.js";
import { longDate } from "../../lib/format.js";
import { dollars } from "../../lib/money.js";
import { text } from "../../text.js";
import { billingPath, pathOf } from "../sidebar/credit.js";
import { Icon } from "../icons.js";

/** The content of `CreditNotice`. This is a function, not a component, so that the element with `role=status`
 *  remains the same and screen readers announce the change. */
export function creditNotice(store, notice) {
  const balance = store.credit.balance.value;
  // A visitor becomes a guest with the first message.
  const isGuest = store.user.value?.is_guest ?? true;
  const isUrgent = notice.kind !== "low";
  const isRefused = notice.kind === "refused";
  const message = notice.message ?? text.creditNotice(notice.kind, isGuest);
  return html`<section class=${isUrgent ? "credit-notice credit-notice-urgent" : "credit-notice"} aria-label=${text.creditWarning}>
    <div class="credit-notice-text" role="status">
      ${!isRefused && html`<p>${message}</p><${Prospect} balance=${balance} isUrgent=${isUrgent} />`}
    </div>
    ${isRefused && html`<div class="credit-notice-text" role="alert" key=${store.credit.refusals}><p>${message}</p><${Prospect} balance=${balance} isUrgent=${isUrgent} /></div>`}
    <${Ways} store=${store} isGuest=${isGuest} isUrgent=${isUrgent} />
    ${notice.kind !== "empty" && html`<button type="button" class="quiet-button credit-notice-close" aria-label=${text.dismiss} title=${text.dismiss}
      onClick=${() => dismiss(store)}><${Icon} name="close" /></button>`}
  </section>`;
}

/** The ways to go on: sign up, pay, or use a model that takes no credit. */
function Ways({ store, isGuest, isUrgent }) {
  const balance = store.credit.balance.value;
  const free = isUrgent ? store.freeModel : null;
  return html`<div class="credit-notice-ways">
    ${isGuest && html`<a class="button button-primary" href=${`/account/signup/?next=${encodeURIComponent(pathOf(store))}`}>${text.signUpForCredit}</a>`}
    ${balance?.can_top_up && html`<a class="button button-primary" href=${billingPath(store)}>${text.addCredit}</a>`}
    ${free && html`<button type="button" class="button" onClick=${() => pickFree(store, free)}>${(free.own_key ? text.useOwnModel : text.useFreeModel)(free.name)}</button>`}
    ${balance?.can_use_own_keys && isUrgent && html`<a class="link-button" href="/settings/keys">${text.useOwnKey}</a>`}
    ${balance && html`<a class="link-button" href=${billingPath(store)}>${text.seeCredit}</a>`}
  </div>`;
}

/** The credit that a person can get without paying: the next free credit, or that for signing up. */
function Prospect({ balance, isUrgent }) {
  const freeAt = isUrgent && balance?.free_credit_at ? new Date(balance.free_credit_at) : null;
  if (freeAt) return html`<p class="credit-prospect">${text.freeCreditOn(longDate(freeAt))}</p>`;
  return balance?.sign_up_micro_usd ? html`<p class="credit-prospect">${text.signUpOffer(dollars(balance.sign_up_micro_usd))}</p>` : null;
}

function pickFree(store, model) {
  store.pickModel(model.id);
  focusComposer();
}

function dismiss(store) {
  store.credit.dismiss();
  focusComposer();
}

/** Focuses the composer, because the focused button has gone; not on a phone, where the keyboard would open. */
function focusComposer() {
  if (matchMedia("(hover: hover)").matches) document.querySelector(".composer-field")?.focus();
}
