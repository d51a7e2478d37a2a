import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../preact.js";
import { isAnswering } from "../log/fold.js";
import { ScrollKeeper } from "../lib/scroll_keeper.js";
import { text } from "../text.js";
import { Composer } from "./composer/composer.js";
import { ConnectionState } from "./connection_state.js";
import { CreditNotice } from "./sidebar/credit.js";
import { EmptyState, Examples, NotHere, Skeleton, TemporarySwitch } from "./empty_state.js";
import { useGlide } from "./glide.js";
import { Icon } from "./icons.js";
import { declareModules, fetchModule, fetchRestLater, lazyModule, loadedModules, needModule } from "./lazy_modules.js";
import { styled } from "./late_styles.js";
import { usePageTitle } from "./page_title.js";
import { useShortcuts } from "./shortcut_keys.js";
import { ProjectOfChat } from "./sidebar/project_rows.js";
import { Sidebar } from "./sidebar/sidebar.js";
import { ToastList } from "./toasts.js";

declareModules({
  conversation: () => styled(import("./messages/conversation.js"), "reading-styles"),
  reading: () => styled(import("../markdown/lazy_markdown.js"), "reading-styles"),
  menus: () => styled(import("./menus.js"), "palette-styles"),
  credit: () => import("./composer/credit_notice.js"),
  files: () => styled(import("./files/file_chips.js"), "reading-styles"),
  sound: () => styled(import("./sound/sound.js"), "sound-styles"),
  pasted: () => styled(import("./composer/pasted_chips.js"), "reading-styles"),
  dialogs: () => styled(import("./dialogs/dialogs.js"), "palette-styles"),
  speaking: () => styled(import("./speaking/speech_bar.js"), "reading-styles"),
});

const WIDE = "(min-width: 60rem)";

export function App({ store }) {
  // On a wide page the list is open at first; on a phone it is a drawer, closed at first.
  const [isListOpen, setListOpen] = useState(matchMedia(WIDE).matches);
  const menuButton = useRef(null);
  // The list must not cover a page that becomes narrow.
  useEffect(() => {
    const wide = matchMedia(WIDE);
    const follow = () => setListOpen(wide.matches);
    wide.addEventListener("change", follow);
    return () => wide.removeEventListener("change", follow);
  }, []);
  // "search", "shortcuts" or null
  const [shown, setShown] = useState(null);
  const { dialogs, conversation } = loadedModules.value;
  const show = (name) => {
    setShown(name);
    fetchModule("dialogs").catch(() => (setShown(null), store.toasts.show(text.unreachable, { isProblem: true })));
  };
  useEffect(fetchRestLater, []);
  usePageTitle(store, titleOf(store));
  const isInChat = Boolean(store.chatId.value);
  useEffect(() => {
    if (isInChat) ["conversation", "reading"].forEach(needModule);
  }, [isInChat]);
  const closeAfterChoice = () => !matchMedia(WIDE).matches && setListOpen(false);
  const put = (isOpen) => {
    setListOpen(isOpen);
    if (!isOpen) requestAnimationFrame(() => menuButton.current?.focus());
  };
  const ui = {
    search: () => show("search"),
    showShortcuts: () => show("shortcuts"),
    closeDrawer: closeAfterChoice,
    toggleSidebar: () => setListOpen((isOpen) => !isOpen),
    focusComposer: () => requestAnimationFrame(() => document.querySelector(".composer-field")?.focus()),
    showList: (view) => {
      setListOpen(true);
      showList(store, view);
    },
    rename: (id) => {
      setListOpen(true);
      const chat = store.list.get(id);
      store.finding.show(chat.archived_ms ? "archived" : "open");
      store.finding.renaming.value = id;
    },
  };
  const app = { store, ui };
  useShortcuts(app);
  return html`<div class=${isListOpen ? "app app-list-open" : "app"}>
    <a class="skip-link" href="#composer" onClick=${skipToComposer}>${text.skipToComposer}</a>
    <aside class="sidebar" inert=${!isListOpen}><${Sidebar} store=${store} close=${closeAfterChoice} search=${ui.search} showShortcuts=${ui.showShortcuts} /></aside>
    <button type="button" class="scrim" tabindex="-1" aria-hidden="true" onClick=${() => put(false)}></button>
    <div class=${store.current.value ? "main" : "main main-empty"}>
      <header class="topbar">
        <button type="button" class="quiet-button" aria-label=${isListOpen ? text.closeSidebar : text.openSidebar} aria-expanded=${isListOpen}
          ref=${menuButton} onClick=${() => put(!isListOpen)}><${Icon} name="menu" /></button>
        ${isInChat && html`<${ProjectOfChat} store=${store} ui=${ui} />`}
        <${ChatTitle} store=${store} />
        <${ConnectionState} store=${store} />
        ${isInChat && html`<${NewChatLink} store=${store} ui=${ui} />`}
        ${conversation && html`<${conversation.ChatCost} store=${store} />`}
        <${InstructionsButton} store=${store} />
        ${!isInChat && html`<${TemporarySwitch} store=${store} />`}
      </header>
      <${ChatPane} store=${store} />
    </div>
    ${dialogs && shown === "search" && html`<${dialogs.Palette} app=${app} close=${() => setShown(null)} />`}
    ${dialogs && shown === "shortcuts" && html`<${dialogs.ShortcutSheet} close=${() => setShown(null)} />`}
    <${ProjectDialog} store=${store} />
    <${ToastList} toasts=${store.toasts} />
    ${conversation && html`<${conversation.Announcer} store=${store} />`}
  </div>`;
}

/** The dialog of a project, or of moving a chat. */
function ProjectDialog({ store }) {
  const module = store.projects.dialog.value && lazyModule("dialogs");
  return module ? html`<${module.ProjectDialogs} store=${store} />` : null;
}

function DraggedFiles({ store }) {
  const files = store.attachments.isDraggedOver.value && lazyModule("files");
  return files ? html`<${files.DropTarget} />` : null;
}

/** The list gets the focus: what was chosen to show it was elsewhere, and on a narrow page the list covers that. */
function showList(store, view) {
  store.finding.show(view);
  requestAnimationFrame(() => document.querySelector(".view-head button")?.focus());
}

function skipToComposer(event) {
  event.preventDefault();
  document.querySelector(".composer-field")?.focus();
}

function titleOf(store) {
  const id = store.chatId.value;
  if (!id) return null;
  if (store.isInTemporary.value) return text.temporaryChat;
  return store.list.get(id)?.title || store.current.value.title.value || null;
}

/** For a page whose list, which has the same, is hidden: that of a phone. */
function NewChatLink({ store, ui }) {
  const open = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    store.openChat(null);
    ui.focusComposer();
  };
  return html`<a class="quiet-button topbar-new" href="/" aria-label=${text.newChat} title=${text.newChat} onClick=${open}><${Icon} name="plus" /></a>`;
}

function ChatTitle({ store }) {
  const open = store.current.value;
  // Without a chat the page below has its own heading.
  if (!open || !isThere(open)) return html`<p class="topbar-title">${titleOf(store) ?? ""}</p>`;
  return html`<h1 class="topbar-title" dir="auto">${titleOf(store) ?? text.newChat}</h1>`;
}

/** The button for the instructions of this chat. Its dialog is loaded when it is first opened. */
function InstructionsButton({ store }) {
  const [Dialog, setDialog] = useState(null);
  const open = store.current.value;
  const id = open?.id;
  // Close the dialog when another chat is shown.
  useEffect(() => setDialog(null), [id]);
  if (!open || !open.isLoaded.value || !isThere(open) || !store.list.get(id)) return null;
  const current = open.instructions.value;
  const label = current ? text.instructionsSet : text.instructions;
  const show = async () => {
    try {
      const { InstructionsDialog } = await import("./composer/instructions_dialog.js");
      setDialog(() => InstructionsDialog);
    } catch {
      store.toasts.show(text.unreachable, { isProblem: true });
    }
  };
  return html`<button type="button" class=${current ? "quiet-button quiet-button-on" : "quiet-button"} aria-haspopup="dialog"
      aria-label=${label} title=${label} onClick=${show}><${Icon} name="instructions" /></button>
    ${Dialog && html`<${Dialog} key=${id} store=${store} chat=${id} current=${current} close=${() => setDialog(null)} />`}`;
}

/** The transcript with the composer below it; one scroll position per shown chat. */
function ChatPane({ store }) {
  const scroller = useRef(null);
  const content = useRef(null);
  const [keeper, setKeeper] = useState(null);
  const open = store.current.value;
  useLayoutEffect(() => {
    const created = new ScrollKeeper(scroller.current, content.current);
    setKeeper(created);
    return () => created.dispose();
  }, []);
  const isLoaded = open?.isLoaded.value ?? true;
  // The whole chat is about to replace the preview of its last messages.
  const place = useMemo(() => (isLoaded ? keeper?.place() : null), [isLoaded]);
  useLayoutEffect(() => keeper?.goTo(place), [place]);
  useLayoutEffect(() => {
    if (!keeper) return;
    store.places.readBy(() => keeper.place());
    if (store.finding.target.peek()) return;
    // The page of a new chat is read from its heading.
    if (!open) keeper.toStart();
    // The reading position is restored once the chat is drawn; until then the end must not be shown.
    else if (store.places.isWanted(open.id)) keeper.letGo();
    else keeper.toEnd();
  }, [open, keeper]);
  const { conversation } = loadedModules.value;
  const dock = useRef(null);
  const willGlide = useGlide(dock, Boolean(open));
  const sent = () => {
    willGlide();
    keeper?.toEnd();
  };
  return html`<main class="scroller" ref=${scroller} tabindex="-1">
      <div class="scroller-content" ref=${content}><${ChatBody} store=${store} open=${open} /></div>
      ${conversation && html`<${conversation.Jump} store=${store} open=${open} keeper=${keeper} />`}
    </main>
    <section class=${store.isInTemporary.value || (!open && store.willBeTemporary.value) ? "dock dock-temporary" : "dock"} id="composer" aria-label=${text.focusComposer} ref=${dock}>
      ${conversation && html`<${conversation.QuoteButton} store=${store} />`}
      <${JumpButton} keeper=${keeper} open=${open} />
      ${isThere(open) && html`<${CreditNotice} store=${store} />`}
      ${conversation && isThere(open) && html`<${conversation.TemporaryNotice} store=${store} />`}
      ${isThere(open) && html`<${Composer} store=${store} onSend=${sent} />`}
      ${!open && html`<${Examples} store=${store} />`}
    </section>
    <${DraggedFiles} store=${store} />`;
}

const isThere = (open) => !open || !(open.problem.value || open.isDeleted.value);

function ChatBody({ store, open }) {
  if (!open) return html`<${EmptyState} store=${store} />`;
  const problem = open.problem.value;
  if (problem) return html`<${NotHere} store=${store} title=${text.notFoundTitle} note=${text.notFoundText} />`;
  if (open.isDeleted.value) return html`<${NotHere} store=${store} title=${text.deletedTitle} />`;
  const conversation = lazyModule("conversation");
  const glimpse = open.isLoaded.value ? null : open.glimpse.value;
  if (!conversation || !(open.isLoaded.value || glimpse)) return html`<${Skeleton} />`;
  if (glimpse) return html`<${conversation.Transcript} key="glimpse" store=${store} open=${glimpse} />`;
  return html`<${conversation.Transcript} store=${store} open=${open} />`;
}

function JumpButton({ keeper, open }) {
  const seen = useRef(null);
  open?.shape.value;
  const last = open?.path().at(-1) ?? null;
  const now = last && `${last.id} ${last.status}`;
  if (!keeper || keeper.isAtEnd.value || !last) {
    seen.current = now;
    return null;
  }
  const hasNew = seen.current !== now || isAnswering(last);
  const label = hasNew ? text.jumpToNew : text.jumpToLatest;
  return html`<button type="button" class=${hasNew ? "jump jump-new" : "jump"} aria-label=${label} title=${label}
    onClick=${() => keeper.toEnd({ smooth: true })}><${Icon} name="down" /></button>`;
}
