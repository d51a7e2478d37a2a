// The send queue in the browser's database, which all tabs share. Each change is one transaction over the
// whole list, which is short.
import { value } from "./database.js";

/** @typedef {import("../compose/send_queue_items.js").Item} Item */

export class SendQueueStore {
  #database;

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
      const before = await value(store("outbox").getAll());
      const after = change(before);
      const left = new Set(after.map(({ id }) => id));
      for (const { id } of before) if (!left.has(id)) store("outbox").delete(id);
      for (const item of after) if (!before.includes(item)) store("outbox").put(item);
      return after;
    });
  }
}
