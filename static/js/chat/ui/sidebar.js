import { html, useLayoutEffect, useRef, useState } from "../../preact.js";
import { recencyGroup } from "../format.js";
import { text } from "../text.js";
import { AccountMenu } from "./account_menu.js";
import { Icon, Mark } from "./icons.js";

export function Sidebar({ store, close }) {
  const chats = store.list.sorted.value;
  const go = (event, id) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button > 0) return;
    event.preventDefault();
    store.openChat(id);
    close();
  };
  return html`<div class="sidebar-inner">
    <div class="sidebar-head">
      <a class="wordmark" href="/" onClick=${(event) => go(event, null)}><${Mark} /><span>${text.product}</span></a>
      <button type="button" class="quiet-button sidebar-close" aria-label=${text.closeSidebar} title=${text.closeSidebar} onClick=${close}>
        <${Icon} name="close" /></button>
    </div>
    <a class="new-chat" href="/" onClick=${(event) => go(event, null)}><${Icon} name="plus" />${text.newChat}</a>
    <nav class="chat-list" aria-label=${text.chats}>
      ${chats.length === 0 && html`<p class="meta chat-list-empty">${text.noChats}</p>`}
      ${grouped(chats).map(([name, group]) => html`<section key=${name}>
        <h2>${name}</h2>
        <ul>${group.map((chat) => html`<${ChatRow} key=${chat.id} store=${store} chat=${chat} go=${go} />`)}</ul>
      </section>`)}
    </nav>
    <${AccountMenu} store=${store} />
  </div>`;
}

function grouped(chats) {
  const nowMs = Date.now();
  const groups = new Map();
  for (const chat of chats) {
    const name = recencyGroup(chat.updated_ms, nowMs, text.groups);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(chat);
  }
  return [...groups];
}

function ChatRow({ store, chat, go }) {
  const [isRenaming, setRenaming] = useState(false);
  const row = useRef(null);
  const isCurrent = store.chatId.value === chat.id;
  const title = chat.title || text.untitled;
  if (isRenaming) {
    const finish = (value) => {
      setRenaming(false);
      if (value && value !== chat.title) store.rename(chat.id, value);
      requestAnimationFrame(() => row.current?.querySelector("a")?.focus());
    };
    return html`<li ref=${row}><${RenameField} title=${chat.title} finish=${finish} /></li>`;
  }
  const onKeyDown = (event) => {
    if (event.key === "F2") setRenaming(true);
    else if (event.key === "Delete") store.remove(chat.id);
  };
  return html`<li class="chat-row" ref=${row}>
    <a class="chat-link" href=${`/c/${chat.id}`} aria-current=${isCurrent ? "page" : undefined} dir="auto" title=${title}
      onClick=${(event) => go(event, chat.id)} onDblClick=${() => setRenaming(true)} onKeyDown=${onKeyDown}>
      <span class="chat-title">${title}</span>
      ${chat.answering.size > 0 && html`<span class="pulse" role="img" aria-label=${text.answeringNow} title=${text.answeringNow}></span>`}
    </a>
    <span class="chat-actions">
      <button type="button" class="quiet-button" aria-label=${`${text.rename}: ${title}`} title=${text.rename} onClick=${() => setRenaming(true)}>
        <${Icon} name="pencil" /></button>
      <button type="button" class="quiet-button" aria-label=${`${text.remove}: ${title}`} title=${text.remove} onClick=${() => store.remove(chat.id)}>
        <${Icon} name="trash" /></button>
    </span>
  </li>`;
}

function RenameField({ title, finish }) {
  const field = useRef(null);
  const isOver = useRef(false);
  const end = (value) => {
    if (isOver.current) return;
    isOver.current = true;
    finish(value);
  };
  useLayoutEffect(() => field.current.select(), []);
  const onKeyDown = (event) => {
    event.stopPropagation();
    if (event.key === "Enter") end(event.currentTarget.value.trim());
    else if (event.key === "Escape") end(null);
  };
  return html`<input class="field rename-field" type="text" maxlength="200" aria-label=${text.titleOfChat} value=${title} ref=${field}
    dir="auto" onKeyDown=${onKeyDown} onBlur=${(event) => end(event.currentTarget.value.trim())} />`;
}
