import { html } from "../../../preact.js";
import { csrfToken } from "../../api.js";
import { initials } from "../../lib/format.js";
import { isComposing } from "../../lib/input_method.js";
import { preferences } from "../../preferences.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";

/** The foot of the sidebar: the signed-in account and its menu. */
export function AccountMenu({ store }) {
  const user = store.user.value;
  // Subscribes to the chat id, because the link back leads to the chat on screen.
  const path = store.chatId.value ? `/c/${store.chatId.value}` : "/";
  if (!user || user.is_guest) return html`<${GuestFoot} isGuest=${Boolean(user)} path=${path} />`;
  const name = user.name || user.email || text.account;
  return html`<details class="account" onKeyDown=${closeOnEscape} onFocusOut=${closeWhenLeft}>
    <summary class="account-name" aria-label=${`${text.account}: ${name}`}>
      <${Avatar} user=${user} />
      <span class="account-text"><span dir="auto">${name}</span>
        ${user.name && html`<span class="meta">${user.email}</span>`}</span>
      <${Icon} name="more" />
    </summary>
    <div class="account-box">
      ${store.credit.balance.value && html`<a class="account-item" href="/billing">${text.billing}</a>`}
      <a class="account-item" href="/settings">${text.settings}</a>
      <a class="account-item" href="/settings/sessions">${text.sessions}</a>
      ${user.is_staff && html`<a class="account-item" href="/admin/">${text.administration}</a>`}
      <form method="post" action="/account/logout/" onSubmit=${(event) => signOut(event, store)}>
        <input type="hidden" name="csrfmiddlewaretoken" />
        <button type="submit" class="account-item">${text.signOut}</button>
      </form>
    </div>
  </details>`;
}

/** The person's picture, or else their initials. */
function Avatar({ user }) {
  const { picture } = preferences.value;
  if (picture) return html`<img class="avatar" src=${picture["64"]} width="28" height="28" alt="" />`;
  return html`<span class="avatar" aria-hidden="true">${initials(user)}</span>`;
}

function GuestFoot({ isGuest, path }) {
  const next = encodeURIComponent(path);
  return html`<div class="account account-guest">
    ${isGuest && html`<p class="meta">${text.guestHint}</p>`}
    <a class="button" href=${`/account/signup/?next=${next}`}>${isGuest ? text.signUpToKeep : text.signUp}</a>
    <a class="link-button" href=${`/account/login/?next=${next}`}>${text.signIn}</a>
    ${isGuest && html`<a class="link-button" href="/settings">${text.settings}</a>`}
  </div>`;
}

/** Erases the person's data from this browser before the request, so that a failed request leaves none behind. */
async function signOut(event, store) {
  event.preventDefault();
  const form = event.currentTarget;
  await store.forget();
  // Read the token only now, because another tab may have changed it.
  form.elements.csrfmiddlewaretoken.value = csrfToken();
  form.submit();
}

function closeOnEscape(event) {
  if (event.key !== "Escape" || isComposing(event) || !event.currentTarget.open) return;
  event.stopPropagation();
  event.currentTarget.open = false;
  event.currentTarget.querySelector("summary").focus();
}

function closeWhenLeft(event) {
  if (event.relatedTarget && !event.currentTarget.contains(event.relatedTarget)) event.currentTarget.open = false;
}
