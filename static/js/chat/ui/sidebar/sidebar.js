import { html, useRef } from "../../../preact.js";
import { ariaKeys } from "../../lib/shortcuts.js";
import { text } from "../../text.js";
import { AccountMenu } from "./account_menu.js";
import { ChatGroups } from "./chat_groups.js";
import { Icon, Mark } from "../icons.js";
import { NewChat, ProjectHead, ProjectRows } from "./project_rows.js";

export function Sidebar({ store, close, search, showShortcuts }) {
  const { finding } = store;
  // The function stays the same, so that unchanged rows are not drawn again.
  const going = useRef(null);
  going.current ??= (event, id, project = null) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button > 0) return;
    event.preventDefault();
    store.openChat(id, null, false, project);
    close();
  };
  const go = going.current;
  const view = finding.view.value;
  const project = finding.project.value;
  const names = project ? { title: project.name, none: text.noChatsInProject } : VIEWS[view] ?? VIEWS.open;
  return html`<div class="sidebar-inner">
    <div class="sidebar-head">
      <a class="wordmark" href="/" onClick=${(event) => go(event, null)}><${Mark} /><span>${text.product}</span></a>
      <span class="spacer"></span>
      <button type="button" class="quiet-button" aria-label=${text.search} title=${text.search} aria-keyshortcuts=${ariaKeys("mod+k")} onClick=${search}>
        <${Icon} name="search" /></button>
      <button type="button" class="quiet-button sidebar-close" aria-label=${text.closeSidebar} title=${text.closeSidebar} onClick=${close}>
        <${Icon} name="close" /></button>
    </div>
    ${view !== "open" && html`<div class="view-head"><button type="button" class="quiet-button" aria-label=${text.backToChats} title=${text.backToChats} onClick=${() => finding.show("open")}><${Icon} name="left" /></button>
          ${project ? html`<${ProjectHead} store=${store} project=${project} />` : html`<h2>${names.title}</h2>`}</div>`}
    ${(view === "open" || project) && html`<${NewChat} project=${project} go=${go} />`}
    <nav class="chat-list" aria-label=${names.title ?? text.chats}>
      ${view === "open" && html`<${ProjectRows} store=${store} />`}
      ${names.note && html`<p class="meta chat-list-note">${names.note}</p>`}
      ${finding.shown.value.length === 0 && !finding.hasMore.value && html`<p class="meta chat-list-empty">${names.none}</p>`}
      <${ChatGroups} store=${store} go=${go} />
    </nav>
    <${AccountMenu} store=${store} showShortcuts=${showShortcuts} />
  </div>`;
}

const VIEWS = {
  open: { none: text.noChats },
  archived: { title: text.archivedChats, none: text.noArchived },
  deleted: { title: text.deletedChats, none: text.noDeleted, note: text.deletedNote },
};
