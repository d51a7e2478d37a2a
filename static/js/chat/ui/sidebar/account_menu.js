import { html } from "../../../preact.js";
import { csrfToken } from "../../api.js";
import { initials } from "../../lib/format.js";
import { isComposing } from "../../lib/input_method.js";
import { preferences } from "../../preferences.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";
import { Balance, billingPath, pathOf } from "./credit.js";

/** The foot of the sidebar: who one is, the credit, and a menu of what belongs to the account. */
export function AccountMenu({ store, showShortcuts }) {
  const user = store.user.value;
  if (!user) return html`<div class="account account-nobody"><${Entrances} store=${store} /></div>`;
  const name = user.is_guest ? text.guest : user.name || user.email || text.account;
  return html`<div class="account">
    ${user.is_guest && html`<a class="button account-sign-up" href=${withWayBack("/account/signup/", store)}>${text.signUpToKeep}</a>`}
    <details class="account-menu" onKeyDown=${closeOnEscape} onFocusOut=${closeWhenLeft}>
      <summary class="account-name">
        <${Avatar} user=${user} />
        <span class="visually-hidden">${text.account}: </span><span class="account-text" dir="auto">${name}</span>
        <${Balance} store=${store} />
        <${Icon} name="more" />
      </summary>
      <div class="account-box" onClickCapture=${closeAfterChoice}>
        ${user.is_guest ? html`<p class="meta account-note">${text.guestHint(store.guestDays)}</p>` : user.name && html`<p class="meta account-note">${user.email}</p>`}
        ${store.credit.balance.value && html`<a class="account-item" href=${billingPath(store)}>${text.billing}</a>`}
        <button type="button" class="account-item" aria-haspopup="dialog" onClick=${() => store.projects.add()}>${text.newProject}</button>
        <button type="button" class="account-item" onClick=${() => store.finding.show("archived")}>${text.archivedChats}</button>
        <button type="button" class="account-item" onClick=${() => store.finding.show("deleted")}>${text.deletedChats}</button>
        <button type="button" class="account-item account-shortcuts" onClick=${showShortcuts}>${text.shortcuts}</button>
        <a class="account-item" href="/settings">${text.settings}</a>
        ${user.is_guest
          ? html`<a class="account-item account-end" href=${withWayBack("/account/login/", store)}>${text.signIn}</a>`
          : html`<a class="account-item" href="/settings/sessions">${text.sessions}</a>
             ${user.is_staff && html`<a class="account-item" href="/admin/">${text.administration}</a>`}
            <form class="account-end" method="post" action="/account/logout/" onSubmit=${(event) => signOut(event, store)}>
              <input type="hidden" name="csrfmiddlewaretoken" />
              <button type="submit" class="account-item">${text.signOut}</button>
            </form>`}
      </div>
    </details>
  </div>`;
}

function Entrances({ store }) {
  return html`<a class="button" href=${withWayBack("/account/signup/", store)}>${text.signUp}</a>
    <a class="link-button" href=${withWayBack("/account/login/", store)}>${text.signIn}</a>
    <form method="post" action="/settings?begin" onSubmit=${putToken}>
      <input type="hidden" name="csrfmiddlewaretoken" />
      <button type="submit" class="link-button">${text.settings}</button>
    </form>
    <p class="meta">${text.guestHint(store.guestDays)}</p>`;
}

/** The link back from there leads to the chat on screen. */
const withWayBack = (path, store) => `${path}?next=${encodeURIComponent(pathOf(store))}`;

/** The person's picture, or else their initials. */
function Avatar({ user }) {
  if (user.is_guest) return null;
  const { picture } = preferences.value;
  if (picture) return html`<img class="avatar" src=${picture["64"]} width="28" height="28" alt="" />`;
  return html`<span class="avatar" aria-hidden="true">${initials(user)}</span>`;
}

/** Erases the person's data from this browser before the request, so that a failed request leaves none behind. */
async function signOut(event, store) {
  event.preventDefault();
  const form = event.currentTarget;
  await store.forget();
  putToken({ currentTarget: form });
  form.submit();
}

/** The token is read only now, because another tab may have changed it. */
function putToken({ currentTarget }) {
  currentTarget.elements.csrfmiddlewaretoken.value = csrfToken();
}

function closeOnEscape(event) {
  if (event.key !== "Escape" || isComposing(event) || !event.currentTarget.open) return;
  event.stopPropagation();
  event.currentTarget.open = false;
  event.currentTarget.querySelector("summary").focus();
}

/** Close the menu before the choice is carried out, because a dialog gives the focus back to where it was. */
function closeAfterChoice(event) {
  if (!event.target.closest("button[type=button]")) return;
  const menu = event.currentTarget.parentElement;
  menu.open = false;
  menu.querySelector("summary").focus();
}

function closeWhenLeft(event) {
  if (event.relatedTarget && !event.currentTarget.contains(event.relatedTarget)) event.currentTarget.open = false;
}
