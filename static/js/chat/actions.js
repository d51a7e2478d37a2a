// The registry of everything a person can do here. The palette, the shortcuts and their sheet are
// made from it. An action is {id, group, label, icon, keys?, inFields?, words?, when?(app), run(app)};
// `app` is {store, ui} with ui {search, showShortcuts, toggleSidebar, focusComposer, showList}.
import { api } from "./api.js";
import { loadedModules } from "./ui/lazy_modules.js";
import { quoteOf, selectionInAnswer } from "./compose/quoting.js";
import { otherAppearance, preferAppearance } from "./preferences.js";
import { text } from "./text.js";

const current = ({ store }) => store.list.get(store.chatId.value);
const hasChat = (app) => current(app) !== null;
const isListed = (app) => hasChat(app) && !current(app).temporary;
const isTemporary = ({ store }) => store.isInTemporary.value;
const lastAnswer = ({ store }) => store.current.value?.path().findLast((message) => message.role === "assistant" && message.text) ?? null;
const isAnsweringNow = ({ store }) => (store.current.value?.answering().length ?? 0) > 0;
const isSomebody = ({ store }) => Boolean(store.user.value);
const isSignedIn = ({ store }) => Boolean(store.user.value && !store.user.value.is_guest);

function goTo(step) {
  return ({ store }) => {
    const id = store.finding.neighbour(step);
    if (id) store.openChat(id);
  };
}

export const actions = [
  { id: "new-chat", group: "chat", label: () => text.newChat, icon: "plus", keys: "mod+shift+o", inFields: true, run: ({ store, ui }) => (store.openChat(null), ui.focusComposer()) },
  { id: "new-temporary-chat", group: "chat", label: () => text.newTemporaryChat, icon: "chat", keys: "alt+t", words: "private", run: ({ store, ui }) => (store.openNew(true), ui.focusComposer()) },
  { id: "keep", group: "chat", label: () => text.temporaryKeep, icon: "pin", when: isTemporary, run: ({ store }) => store.keepChat(store.chatId.peek()) },
  { id: "composer", group: "chat", label: () => text.focusComposer, icon: "pencil", keys: "/", run: ({ ui }) => ui.focusComposer() },
  { id: "stop", group: "chat", label: () => text.stop, icon: "close", keys: "Escape", inFields: true, when: isAnsweringNow, run: ({ store }) => store.answers.stopAll() },
  { id: "copy-answer", group: "chat", label: () => text.copyLastAnswer, icon: "copy", keys: "mod+shift+c", inFields: true, when: (app) => lastAnswer(app) !== null, run: copyLastAnswer },
  { id: "quote", group: "chat", label: () => text.quoteSelection, icon: "quote", keys: "alt+q", when: () => selectionInAnswer(getSelection()) !== null, run: ({ store }) => store.quote(quoteOf(String(getSelection()))) },
  { id: "regenerate", group: "chat", label: () => text.regenerateLast, icon: "again", keys: "alt+r", when: (app) => lastAnswer(app) !== null && !isAnsweringNow(app), run: (app) => app.store.answers.regenerate(lastAnswer(app), lastAnswer(app).model) },
  { id: "rename", group: "chat", label: () => text.renameThis, icon: "pencil", keys: "F2", when: isListed, run: (app) => app.ui.rename(current(app).id) },
  { id: "pin", group: "chat", label: () => text.pinThis, icon: "pin", keys: "alt+p", when: (app) => isListed(app) && !current(app).pinned_ms, run: (app) => app.store.finding.pin(current(app).id, true) },
  { id: "unpin", group: "chat", label: () => text.unpinThis, icon: "pin", when: (app) => Boolean(current(app)?.pinned_ms), run: (app) => app.store.finding.pin(current(app).id, false) },
  { id: "archive", group: "chat", label: () => text.archiveThis, icon: "archive", keys: "mod+shift+e", inFields: true, when: (app) => isListed(app) && !current(app).archived_ms, run: (app) => app.store.finding.archive(current(app).id, true) },
  { id: "unarchive", group: "chat", label: () => text.unarchiveThis, icon: "archive", when: (app) => Boolean(current(app)?.archived_ms), run: (app) => app.store.finding.archive(current(app).id, false) },
  { id: "move", group: "chat", label: () => text.moveThis, icon: "folder", words: "folder", when: (app) => isSomebody(app) && isListed(app), run: (app) => app.store.projects.chooseFor(current(app).id) },
  { id: "new-project", group: "chat", label: () => text.newProject, icon: "folder", words: "folder instructions", when: isSomebody, run: ({ store }) => store.projects.add() },
  { id: "delete", group: "chat", label: () => text.deleteThis, icon: "trash", keys: "mod+shift+Backspace", inFields: true, when: hasChat, run: (app) => app.store.finding.remove(current(app).id) },

  { id: "search", group: "find", label: () => text.search, icon: "search", keys: "mod+k", inFields: true, isQuiet: true, run: ({ ui }) => ui.search() },
  { id: "next-chat", group: "find", label: () => text.nextChat, icon: "down", keys: "alt+ArrowDown", run: goTo(1) },
  { id: "previous-chat", group: "find", label: () => text.previousChat, icon: "up", keys: "alt+ArrowUp", run: goTo(-1) },
  { id: "sidebar", group: "find", label: () => text.toggleSidebar, icon: "menu", keys: "mod+b", inFields: true, run: ({ ui }) => ui.toggleSidebar() },

  { id: "archived", group: "go", label: () => text.archivedChats, icon: "archive", words: "list", run: ({ ui }) => ui.showList("archived") },
  { id: "deleted", group: "go", label: () => text.deletedChats, icon: "trash", words: "trash bin restore undo", run: ({ ui }) => ui.showList("deleted") },
  { id: "theme", group: "go", label: () => text.toggleTheme, icon: "theme", words: "dark light appearance", when: isSomebody, run: toggleTheme },
  { id: "settings", group: "go", label: () => text.settings, icon: "settings", words: "account preferences", when: isSomebody, run: () => location.assign("/settings") },
  { id: "billing", group: "go", label: () => text.billing, icon: "settings", words: "billing money top up usage cost", when: ({ store }) => store.credit.balance.value !== null, run: () => location.assign("/billing") },
  { id: "sessions", group: "go", label: () => text.sessions, icon: "settings", words: "devices", when: isSignedIn, run: () => location.assign("/settings/sessions") },
  { id: "shortcuts", group: "go", label: () => text.shortcuts, icon: "keyboard", keys: "?", words: "keys help", run: ({ ui }) => ui.showShortcuts() },
  { id: "sign-in", group: "go", label: () => text.signIn, icon: "right", when: (app) => !isSignedIn(app), run: () => location.assign("/account/login/") },
  { id: "sign-out", group: "go", label: () => text.signOut, icon: "right", when: isSignedIn, run: signOut },
];

export const available = (app) => actions.filter((action) => !action.when || action.when(app));

async function copyLastAnswer(app) {
  // The modules of the first chat load this one, too.
  const { copyText } = await import("./lib/copying.js");
  const { text: source } = lastAnswer(app);
  const isCopied = await copyText(source, loadedModules.peek().reading?.richText(source));
  app.store.toasts.show(isCopied ? text.copied : text.copyFailed, { isProblem: !isCopied });
}

function toggleTheme({ store }) {
  const appearance = otherAppearance();
  return store.commands.runInOrder("appearance", () => api.saveSettings(store.user.peek()?.id, { appearance }), preferAppearance(appearance));
}

/** Submits the form of the account menu, whose handler first erases the stored data. */
function signOut() {
  document.querySelector("form[action='/account/logout/']")?.requestSubmit();
}
