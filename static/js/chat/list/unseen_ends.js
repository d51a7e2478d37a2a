// The chats whose answer ended while this page was hidden. The page marks its title and icon with them, and may
// show notifications, until it is seen or the chat is read on another device.
import { computed, effect, signal, untracked } from "../../signals.js";
import { isUnread } from "./chat_list.js";

// A device that shows the chat marks it as read at once. The others need not interrupt anybody then.
const READ_ELSEWHERE_MS = 2_000;

/** @typedef {import("./chat_list.js").Chat} Chat */

export class UnseenEnds {
  chats = signal(/** @type {Map<string, Chat>} */ (new Map()));
  count = computed(() => this.chats.value.size);
  #list;
  #page;
  #on;
  #isHidden;
  #wasLeftWriting = false;
  /** When each answer had last ended as the page was hidden; null while the page is visible. */
  #endedMs = /** @type {Map<string, number> | null} */ (null);

  /**
   * @param {import("./chat_list.js").ChatList} list
   * @param {{end: (chat: Chat) => void, seen: (ids: string[]) => void, back: () => void}} on
   *   end: an answer ended unseen; seen: it is not unseen any more; back: a person comes back who had left while an
   *   answer was being written
   * @param {Document} [page]
   */
  constructor(list, on, page = document) {
    this.#list = list;
    this.#on = on;
    this.#page = page;
    this.#isHidden = signal(page.visibilityState === "hidden");
  }

  start() {
    this.#page.addEventListener("visibilitychange", () => (this.#isHidden.value = this.#page.visibilityState === "hidden"));
    effect(() => {
      const isHidden = this.#isHidden.value;
      // A visible page does not look through its chats at each event.
      const chats = isHidden ? this.#list.chats.value : null;
      untracked(() => (chats ? this.#compare(chats) : this.#seen()));
    });
  }

  /** @param {Map<string, Chat>} chats */
  #compare(chats) {
    if (!this.#endedMs) {
      this.#endedMs = new Map();
      this.#wasLeftWriting = [...chats.values()].some((chat) => chat.answering.size > 0);
    }
    const unseen = new Map();
    for (const chat of chats.values()) {
      const before = this.#endedMs.get(chat.id);
      // A notification would name it, and stay.
      if (chat.temporary) continue;
      if (before === undefined) this.#endedMs.set(chat.id, chat.ended_ms);
      else if (chat.ended_ms > before && isUnread(chat) && !chat.deleted_ms) unseen.set(chat.id, chat);
    }
    this.#show(unseen);
  }

  #seen() {
    this.#endedMs = null;
    this.#show(new Map());
    if (this.#wasLeftWriting) this.#on.back();
    this.#wasLeftWriting = false;
  }

  /** @param {Map<string, Chat>} unseen */
  #show(unseen) {
    const before = this.chats.peek();
    if (before.size === 0 && unseen.size === 0) return;
    this.chats.value = unseen;
    const gone = [...before.keys()].filter((id) => !unseen.has(id));
    if (gone.length > 0) this.#on.seen(gone);
    for (const [id, chat] of unseen) if (before.get(id)?.ended_ms !== chat.ended_ms) setTimeout(() => this.#report(id, chat.ended_ms), READ_ELSEWHERE_MS);
  }

  /**
   * @param {string} id
   * @param {number} endedMs
   */
  #report(id, endedMs) {
    const chat = this.chats.peek().get(id);
    if (chat?.ended_ms === endedMs) this.#on.end(chat);
  }
}
