// The send queue in the browser's database, which all tabs share. Each change is one transaction over the
// whole list, which is short. Messages of temporary chats are kept by this page only.
import { value } from "./database.js";

/** @typedef {import("../compose/send_queue_items.js").Item} Item */

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
}
