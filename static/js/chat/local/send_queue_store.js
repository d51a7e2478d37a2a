// The send queue in the browser's database, which all tabs share. Each change is one transaction over the
// whole list, which is short. Messages of temporary chats are kept by this page only.
import { value } from "./database.js";
import { remember, remembered } from "../lib/storage.js";

/** The setting with the messages that a closed page had no time to store in the database. */
export const LEFT_BEHIND = "outbox";

/**
 * @typedef {import("../compose/send_queue_items.js").Item} Item
 * @typedef {import("../compose/send_queue_items.js").Written} Written
 */

export class SendQueueStore {
  #database;
  /** @type {Item[]} */
  #temporary = [];

  /** @param {import("./database.js").LocalDatabase} database */
  constructor(database) {
    this.#database = database;
  }

  /**
   * Replace the items by `change(items)`. Resolves with those, or undefined if nothing can be stored.
   * @param {(items: Item[]) => Item[]} change
   */
  change(change) {
    return this.#database.run(["outbox"], "readwrite", async (store) => {
      /** @type {Item[]} */
      const stored = await value(store("outbox").getAll());
      const before = [...stored, ...this.#temporary];
      const after = change(before);
      this.#temporary = after.filter((item) => item.temporary);
      const left = new Set(after.map(({ id }) => id));
      for (const { id } of stored) if (!left.has(id)) store("outbox").delete(id);
      for (const item of after) if (!item.temporary && !stored.includes(item)) store("outbox").put(item);
      return after;
    });
  }

  /**
   * Save messages at once, because the page is being closed and the database needs a moment.
   * @param {string} owner
   * @param {Written[]} items
   */
  saveNow(owner, items) {
    const saved = items.filter((item) => !item.temporary);
    if (saved.length > 0) remember(LEFT_BEHIND, JSON.stringify({ owner, items: [...this.#leftBehind(owner), ...saved] }));
  }

  /**
   * Returns the messages that were saved like this, and forgets them.
   * @param {string} owner
   */
  takeSaved(owner) {
    const items = this.#leftBehind(owner);
    remember(LEFT_BEHIND, null);
    return items;
  }

  /**
   * @param {string} owner
   * @returns {Written[]}
   */
  #leftBehind(owner) {
    const left = JSON.parse(remembered(LEFT_BEHIND) ?? "{}");
    return left.owner === owner ? left.items : [];
  }
}
