// What this browser keeps of one person: chats to open at once, the outbox. It belongs to one
// owner; every transaction first reads who that is, so a page of somebody who has signed out, or a
// tab that missed it, reads and writes nothing. Storage may be full, forbidden or taken away at any
// time: then `run` gives undefined, and the page works without.

import { withTimeout } from "../lib/with_timeout.js";

const NAME = "holdfast";
// Raised when what is kept changes its form: chats are dropped and read again from the server. The
// outbox stays, for it may hold what is nowhere else.
const VERSION = 1;
const OPEN_WITHIN_MS = 3_000;
const DROPPED_ON_UPGRADE = ["heads", "blocks"];
const STORES = { meta: undefined, heads: { keyPath: "id" }, blocks: undefined, outbox: { keyPath: "id" } };
const ALL = Object.keys(STORES);

/** The owner while nobody is signed in. */
export const VISITOR = "visitor";

export class LocalDatabase {
  /** The id of the person, or VISITOR; null until it is claimed. */
  owner = null;
  /** Called when the storage is full. */
  onFull = () => {};

  #indexedDB;
  /** @type {Promise<IDBDatabase | null> | null} */
  #opened = null;
  #claimed;
  #settleClaim;

  constructor(indexedDB = safely(() => globalThis.indexedDB)) {
    this.#indexedDB = indexedDB;
    this.#claimed = new Promise((resolve) => (this.#settleClaim = resolve));
  }

  /**
   * Bind the store to its owner: what somebody else left here is erased first. Without an owner
   * (the page came from the shell, offline) it is whoever was here last. Gives the owner.
   */
  async claim(owner = null) {
    let found = null;
    await this.#transact(ALL, "readwrite", async (store) => {
      found = (await value(store("meta").get("owner"))) ?? null;
      if (owner === null || owner === found) return;
      for (const name of ALL) store(name).clear();
      store("meta").put(owner, "owner");
    });
    this.owner = owner ?? found ?? VISITOR;
    this.#settleClaim();
    return this.owner;
  }

  /** The visitor has become this person: what is here goes along. Anybody else's is left alone. */
  async adopt(owner) {
    if (this.owner !== VISITOR) return;
    await this.run(["meta"], "readwrite", (store) => store("meta").put(owner, "owner"));
    this.owner = owner;
  }

  /** Do `work(store)` in one transaction. Gives what it gives, or undefined if nothing was done. */
  async run(names, mode, work) {
    await this.#claimed;
    return this.#transact(names, mode, async (store) => {
      const owner = await value(store("meta").get("owner"));
      // Never claimed (a visitor, offline from the start): the first to write is the owner.
      if (owner === undefined && this.owner === VISITOR && mode === "readwrite") store("meta").put(VISITOR, "owner");
      else if (owner !== this.owner) return undefined;
      return work(store);
    });
  }

  /**
   * What is of this owner goes, and nothing of somebody who has signed in here meanwhile; this page keeps nothing from
   * here on. The database stays, empty: deleting it would ask nobody whose it is by then.
   */
  async erase() {
    await this.#claimed;
    await this.#transact(ALL, "readwrite", async (store) => {
      const owner = await value(store("meta").get("owner"));
      if (owner === undefined || owner === this.owner) ALL.forEach((name) => store(name).clear());
    });
    const database = await this.#opened;
    this.#lost();
    database?.close();
  }

  async #transact(names, mode, work) {
    const database = await (this.#opened ??= this.#open());
    if (!database) return undefined;
    try {
      const transaction = database.transaction([...new Set(["meta", ...names])], mode, { durability: "relaxed" });
      const done = completed(transaction);
      done.catch(() => {});
      const result = await work((name) => transaction.objectStore(name));
      await done;
      return result;
    } catch (error) {
      if (error?.name === "QuotaExceededError") this.onFull();
      return undefined;
    }
  }

  #open() {
    if (!this.#indexedDB) return Promise.resolve(null);
    const opening = new Promise((resolve) => {
      const request = this.#indexedDB.open(NAME, VERSION);
      request.onupgradeneeded = () => upgrade(request.result);
      request.onerror = request.onblocked = () => resolve(null);
      request.onsuccess = () => {
        const database = request.result;
        // A newer version, an erasure in another tab, or the browser wants it: let it go.
        database.onversionchange = () => (database.close(), this.#lost());
        database.onclose = () => this.#lost();
        resolve(database);
      };
    });
    return withTimeout(OPEN_WITHIN_MS, opening.catch(() => null));
  }

  #lost() {
    this.#opened = Promise.resolve(null);
  }
}

function upgrade(database) {
  for (const name of DROPPED_ON_UPGRADE) {
    if (database.objectStoreNames.contains(name)) database.deleteObjectStore(name);
  }
  for (const [name, options] of Object.entries(STORES)) {
    if (!database.objectStoreNames.contains(name)) database.createObjectStore(name, options);
  }
}

/** What a request gives. Awaiting it keeps its transaction open. */
export function value(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function completed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new DOMException("aborted", "AbortError"));
  });
}

function safely(read) {
  try {
    return read();
  } catch {
    return undefined;
  }
}
