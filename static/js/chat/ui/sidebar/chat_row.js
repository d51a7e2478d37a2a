import { html, useLayoutEffect, useRef, useState } from "../../../preact.js";
import { isUnread } from "../../list/chat_list.js";
import { isComposing } from "../../lib/input_method.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";
import { lazyModule } from "../lazy_modules.js";

/** One chat of the list: its title, whether it is being answered or unread, and its menu. */
export function ChatRow({ store, chat, go }) {
  const { finding } = store;
  const row = useRef(null);
  const title = chat.title || text.untitled;
  if (finding.renaming.value === chat.id) {
    const finish = (value) => {
      finding.renaming.value = null;
      if (value && value !== chat.title) finding.rename(chat.id, value);
      requestAnimationFrame(() => row.current?.querySelector("a")?.focus());
    };
    return html`<li ref=${row}><${RenameField} title=${chat.title} finish=${finish} /></li>`;
  }
  const isCurrent = store.chatId.value === chat.id;
  const isOffered = !chat.deleted_ms;
  const onKeyDown = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !isOffered) return;
    if (event.key === "F2") finding.renaming.value = chat.id;
    else if (event.key === "Delete") finding.remove(chat.id);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const unread = isUnread(chat) && !isCurrent && isOffered;
  return html`<li class=${unread ? "chat-row chat-row-unread" : "chat-row"} ref=${row}>
    <${RowLink} isOffered=${isOffered} chat=${chat} isCurrent=${isCurrent} title=${title} go=${go} onKeyDown=${onKeyDown}
      rename=${() => (finding.renaming.value = chat.id)}>
      <span class="chat-title" dir="auto">${title}</span>
      ${chat.answering.size > 0 && html`<span class="pulse" role="img" aria-label=${text.answeringNow} title=${text.answeringNow}></span>`}
      ${unread && chat.answering.size === 0 && html`<span class="unread" role="img" aria-label=${text.unread} title=${text.unread}></span>`}
    </${RowLink}>
    ${isOffered
      ? html`<${MoreButton} store=${store} chat=${chat} title=${title} />`
      : html`<button type="button" class="link-button chat-restore" aria-label=${`${text.restore}: ${title}`} onClick=${() => finding.restore(chat.id)}>${text.restore}</button>`}
  </li>`;
}

function RowLink({ isOffered, chat, isCurrent, title, go, onKeyDown, rename, children }) {
  if (!isOffered) return html`<span class="chat-link chat-link-gone" title=${title}>${children}</span>`;
  return html`<a class="chat-link" href=${`/c/${chat.id}`} aria-current=${isCurrent ? "page" : undefined} title=${title}
    onClick=${(event) => go(event, chat.id)} onDblClick=${rename} onKeyDown=${onKeyDown}>${children}</a>`;
}

function MoreButton({ store, chat, title }) {
  const [isOpen, setOpen] = useState(false);
  const button = useRef(null);
  const close = ({ refocus }) => {
    setOpen(false);
    if (refocus) button.current?.focus();
  };
  const label = text.chatMenu(title);
  const menus = isOpen && lazyModule("menus");
  return html`<button type="button" class=${isOpen ? "quiet-button chat-more chat-more-open" : "quiet-button chat-more"} aria-label=${label} title=${text.options}
      aria-haspopup="menu" aria-expanded=${isOpen} ref=${button} onClick=${() => setOpen(!isOpen)}><${Icon} name="more" /></button>
    ${menus && html`<${menus.RowMenu} label=${label} items=${menus.rowItems(store, chat)} anchor=${button.current} close=${close} />`}`;
}

/** `defaultValue`, because the row may be drawn again while the person is typing. */
function RenameField({ title, finish }) {
  const field = useRef(null);
  const isOver = useRef(false);
  const end = (value) => {
    if (isOver.current) return;
    isOver.current = true;
    finish(value);
  };
  useLayoutEffect(() => {
    field.current.focus();
    field.current.select();
  }, []);
  const onKeyDown = (event) => {
    event.stopPropagation();
    if (isComposing(event)) return;
    if (event.key === "Enter") end(event.currentTarget.value.trim());
    else if (event.key === "Escape") end(null);
  };
  return html`<input class="field rename-field" type="text" maxlength="200" aria-label=${text.titleOfChat} defaultValue=${title} ref=${field}
    dir="auto" onKeyDown=${onKeyDown} onBlur=${(event) => end(event.currentTarget.value.trim())} />`;
}
