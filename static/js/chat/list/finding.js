// Everything for finding chats again: pinning, archiving and deleting them, unread marks, and links to a
// message. Views read its signals and call its actions.
import { computed, effect, signal, untracked } from "../../signals.js";
import { addressOf, messageInAddress } from "../address.js";
import { api, ApiError, repeatUntilAnswered } from "../api.js";
import { isUnread } from "./chat_list.js";
import { inSentence } from "../lib/format.js";
import { projectOfView } from "./projects.js";
import { uuid7 } from "../lib/ids.js";
import { text } from "../text.js";

const UNDO_MS = 10_000;
const PAGE_TRIES = 3;

export class Finding {
  /** Which list the sidebar shows: "open", "archived", "deleted", or that of a project (projects.js: viewOf). */
  view = signal("open");
  /** The message to bring into view: {chat, message} or null. */
  target = signal(null);
  /** The chat whose name is being changed, or null. */
  renaming = signal(null);
  isLoadingMore = signal(false);

  #store;
  #list;
  #isVisible = signal(document.visibilityState === "visible");
  #asked = new Set();

  constructor(store) {
    this.#store = store;
    this.#list = store.list;
  }

  /** The chats of the shown view. */
  shown = computed(() => {
    const project = projectOfView(this.view.value);
    if (project) return this.#list.sorted.value.filter((chat) => chat.project === project);
    return { open: this.#list.sorted, archived: this.#list.archived, deleted: this.#list.deleted }[this.view.value].value;
  });

  /** The project whose chats are shown, or null. */
  project = computed(() => this.#store.projects.get(projectOfView(this.view.value)));

  hasMore = computed(() => this.#list.next.value[this.view.value] !== null);

  // Lifecycle

  start() {
    document.addEventListener("visibilitychange", () => (this.#isVisible.value = document.visibilityState === "visible"));
    window.addEventListener("hashchange", () => this.#readAddress());
    this.#readAddress();
    // The project may be deleted on another device.
    effect(() => {
      if (projectOfView(this.view.value) && !this.project.value) this.view.value = "open";
    });
    effect(() => {
      const seen = this.#looksAt.value;
      untracked(() => this.#markRead(seen));
    });
  }

  // Actions: changes to a chat

  rename(id, title) {
    return this.#change(id, { title }, (change) => api.rename(id, title, change));
  }

  pin(id, isPinned) {
    return this.#change(id, { pinned_ms: isPinned ? Date.now() : null }, (change) => api.pin(id, isPinned, change));
  }

  archive(id, isArchived) {
    if (isArchived) {
      this.#leave(id);
      this.#store.toasts.show(text.archivedToast(this.#titleOf(id)), { label: text.undo, run: () => this.archive(id, false), forMs: UNDO_MS });
    }
    return this.#change(id, { archived_ms: isArchived ? Date.now() : null }, (change) => api.archive(id, isArchived, change));
  }

  /** Move a chat into a project; null: out of the one that it is in. */
  moveTo(id, project) {
    const before = this.#store.projects.get(this.#list.chats.peek().get(id)?.project)?.id ?? null;
    const name = inSentence(this.#store.projects.get(project)?.name ?? "");
    const said = name ? text.movedToast(this.#titleOf(id), name) : text.movedOutToast(this.#titleOf(id));
    const undo = () => this.#move(id, before);
    this.#store.toasts.show(said, { label: text.undo, run: undo, forMs: UNDO_MS });
    return this.#move(id, project);
  }

  /** Delete a chat at once. A toast can undo this for a moment, the list of deleted chats for longer. */
  remove(id) {
    if (this.#store.sendQueue.isBegunHere(id)) return this.#store.sending.cancelChat(id);
    const wasOpen = this.#store.chatId.peek() === id;
    const removing = this.#change(id, { deleted_ms: Date.now() }, (change) => api.remove(id, change));
    this.#leave(id);
    const undo = async () => {
      await this.restore(id);
      if (wasOpen && this.#store.chatId.peek() === null) this.#store.openChat(id);
    };
    this.#store.toasts.show(text.deleted(this.#titleOf(id)), { label: text.undo, run: undo, forMs: UNDO_MS });
    return removing;
  }

  /** Save a chat as a file: "md" or "json". */
  exportAs(id, form) {
    const chat = { id, title: this.#titleOf(id) };
    return this.#useExport((module) => module.downloadChat(chat, form));
  }

  print(id) {
    if (this.#store.chatId.peek() !== id) this.#store.openChat(id);
    return this.#useExport((module) => module.printChat(this.#store.current.peek()));
  }

  restore(id) {
    return this.#change(id, { deleted_ms: null }, (change) => api.restore(id, change));
  }

  // Actions: pages

  show(view) {
    this.view.value = view;
    if (this.#list.next.peek()[view] === undefined) void this.loadMore();
  }

  async loadMore() {
    const view = this.view.peek();
    const place = this.#list.next.peek()[view];
    if (place === null || this.isLoadingMore.peek() || !this.#store.user.peek()) return;
    this.isLoadingMore.value = true;
    try {
      const project = projectOfView(view);
      const wanted = project ? { project, before: place } : { view, before: place };
      const page = await repeatUntilAnswered(() => api.chats(wanted), { tries: PAGE_TRIES });
      this.#list.add(view, page.chats, page.next ?? null);
    } catch (error) {
      this.#store.toasts.show(error.message, { isProblem: true });
    } finally {
      this.isLoadingMore.value = false;
    }
  }

  /** An event arrived for a chat that is not in the list: it is on a later page, or was deleted. */
  async fetch(id) {
    if (this.#asked.has(id)) return;
    this.#asked.add(id);
    try {
      const { chat } = await repeatUntilAnswered(() => api.chat(id), { tries: PAGE_TRIES });
      this.#list.put([chat]);
    } catch {
      // The chat is deleted or the server unreachable; the next event or page brings the chat.
    } finally {
      this.#asked.delete(id);
    }
  }

  // Actions: one message

  /** Open a chat, at `message` if given. */
  open(chat, message = null) {
    if (!this.#list.has(chat)) void this.fetch(chat);
    this.#store.openChat(chat, message);
    if (message) this.target.value = { chat, message };
  }

  linkTo(chat, message) {
    return `${location.origin}${addressOf(chat, { message })}`;
  }

  arrived() {
    this.target.value = null;
  }

  /** The chat beside the open one in the order of the list: 1 is the next, -1 the previous one. */
  neighbour(step) {
    const chats = this.#list.sorted.peek();
    const ordered = [...chats.filter((chat) => chat.pinned_ms), ...chats.filter((chat) => !chat.pinned_ms)];
    const at = ordered.findIndex((chat) => chat.id === this.#store.chatId.peek());
    return (at < 0 ? ordered[0] : ordered[at + step])?.id ?? null;
  }

  // Private

  /** The visible chat if it is unread: {id, until}, or null. */
  #looksAt = computed(() => {
    const open = this.#store.current.value;
    const chat = open && this.#list.get(open.id);
    if (!chat || !open.isLoaded.value || !this.#isVisible.value || !isUnread(chat)) return null;
    return { id: chat.id, until: chat.ended_ms };
  });

  #markRead(seen) {
    if (!seen) return;
    this.#list.set(seen.id, { read_ms: seen.until });
    // If this fails, the next page that shows the chat reports it again.
    repeatUntilAnswered(() => api.read(seen.id, seen.until), { tries: PAGE_TRIES }).catch(() => {});
  }

  #move(id, project) {
    return this.#change(id, { project }, (change) => api.move(id, project, change));
  }

  #change(id, change, order) {
    const takeBack = this.#list.set(id, change);
    const changeId = uuid7();
    return this.#store.commands.runInOrder(id, () => order(changeId), takeBack);
  }

  async #useExport(use) {
    try {
      await use(await import("./chat_export.js"));
    } catch (error) {
      this.#store.toasts.show(error instanceof ApiError ? error.message : text.unreachable, { isProblem: true });
    }
  }

  #leave(id) {
    if (this.#store.chatId.peek() === id) this.#store.openChat(null);
  }

  #titleOf(id) {
    const chat = this.#list.chats.peek().get(id);
    return chat?.temporary ? text.temporaryChat : inSentence(chat?.title ?? "") || text.untitled;
  }

  #readAddress() {
    const message = messageInAddress();
    const chat = this.#store.chatId.peek();
    if (message && chat) this.target.value = { chat, message };
  }
}
