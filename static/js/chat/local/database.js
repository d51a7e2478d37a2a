// The IndexedDB database with the data of one person: chats, the send queue, and files that are not sent yet.
// Every transaction first reads the owner, so a page of somebody who has signed out, also in another tab, reads
// and writes nothing. Storage may be full, forbidden or removed at any time: then `run` resolves with undefined,
// and the page works without it.

import { withTimeout } from "../lib/with_timeout.js";

const NAME = "holdfast";
// Raise this when the form of the records changes: chats are dropped and read again from the server. The
// send queue and its files stay, because they may exist nowhere else.
const VERSION = 2;
const OPEN_WITHIN_MS = 3_000;
const DROPPED_ON_UPGRADE = ["heads", "blocks"];
const BY_ID = { keyPath: "id" };
const STORES = { meta: undefined, heads: BY_ID, blocks: undefined, outbox: BY_ID, files: BY_ID, file_data: undefined };
const ALL = Object.keys(STORES);

/** The owner while nobody is signed in. */
export const VISITOR = "visitor";

/** @typedef {(name: string) => IDBObjectStore} Stores a store of the transaction by name */

/**
 * What stores get whose code is loaded later. If they imported this module, it would be one more file of the first load.
 * @typedef {object} Tools
 * @property {Pick<LocalDatabase, "run">} database
 * @property {() => Promise<unknown>} makeRoom
 * @property {typeof value} value
 */

export class LocalDatabase {
  /** @type {string | null} the id of the person, or VISITOR; null until it is claimed */
  owner = null;
  /** @type {() => void} called when the storage is full */
  onFull = () => {};

  #indexedDB;
  /** @type {Promise<IDBDatabase | null> | null} */
  #opened = null;
  #settleClaim = () => {};
  /** @type {Promise<void>} */
  #claimed = new Promise((resolve) => (this.#settleClaim = resolve));

  constructor(indexedDB = safely(() => globalThis.indexedDB)) {
    this.#indexedDB = indexedDB;
  }

  /**
   * Bind the database to its owner, and erase the data of anybody else. Without an owner (the page is the app
   * shell, offline) the last owner stays. Returns the owner.
   * @param {string | null} owner
   * @param {{wasVisitor?: boolean}} [options] whether the data of a visitor is the owner's
   * @returns {Promise<string>}
   */
  async claim(owner = null, { wasVisitor = false } = {}) {
    /** @type {string | null} */
    let found = null;
    await this.#transact(ALL, "readwrite", async (store) => {
      found = /** @type {string | undefined} */ (await value(store("meta").get("owner"))) ?? null;
      if (owner === null || owner === found) return;
      if (!wasVisitor || found !== VISITOR) for (const name of ALL) store(name).clear();
      store("meta").put(owner, "owner");
    });
    this.owner = owner ?? found ?? VISITOR;
    this.#settleClaim();
    return this.owner;
  }

  /**
   * The visitor has become this person, who gets the visitor's data. The data of anybody else stays as it is.
   * @param {string} owner
   */
  async adopt(owner) {
    if (this.owner !== VISITOR) return;
    await this.run(["meta"], "readwrite", (store) => store("meta").put(owner, "owner"));
    this.owner = owner;
  }

  /**
   * Run `work(store)` in one transaction. Resolves with its result, or undefined if nothing was done.
   * @template T
   * @param {string[]} names
   * @param {"readonly" | "readwrite"} mode
   * @param {(store: Stores) => T | Promise<T>} work
   * @returns {Promise<T | undefined>}
   */
  async run(names, mode, work) {
    await this.#claimed;
    return this.#transact(names, mode, async (store) => {
      const owner = await value(store("meta").get("owner"));
      // The database has no owner yet (a visitor, offline from the start): the first writer becomes the owner.
      if (owner === undefined && this.owner === VISITOR && mode === "readwrite") store("meta").put(VISITOR, "owner");
      else if (owner !== this.owner) return undefined;
      return work(store);
    });
  }

  /**
   * Erase the data of this owner, but not of somebody who has signed in meanwhile. This page stores nothing after
   * this. The empty database stays, because deleting it would not check the owner.
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

  /**
   * @template T
   * @param {string[]} names
   * @param {"readonly" | "readwrite"} mode
   * @param {(store: Stores) => T | Promise<T>} work
   * @returns {Promise<T | undefined>}
   */
  async #transact(names, mode, work) {
    const database = await (this.#opened ??= this.#open());
    if (!database) return undefined;
    try {
      const transaction = database.transaction([...new Set(["meta", ...names])], mode, { durability: "relaxed" });
      const done = completed(transaction);
      done.catch(() => {});
      try {
        const result = await work((name) => transaction.objectStore(name));
        await done;
        return result;
      } catch (error) {
        // Otherwise what was done until then would be stored.
        safely(() => transaction.abort());
        throw error;
      }
    } catch (error) {
      if (/** @type {Error | null} */ (error)?.name === "QuotaExceededError") this.onFull();
      return undefined;
    }
  }

  /** @returns {Promise<IDBDatabase | null>} */
  #open() {
    const indexedDB = this.#indexedDB;
    if (!indexedDB) return Promise.resolve(null);
    const opening = /** @type {Promise<IDBDatabase | null>} */ (new Promise((resolve) => {
      const request = indexedDB.open(NAME, VERSION);
      request.onupgradeneeded = () => upgrade(request.result);
      request.onerror = request.onblocked = () => resolve(null);
      request.onsuccess = () => {
        const database = request.result;
        // A newer version, another tab or the browser needs the database: close it.
        database.onversionchange = () => (database.close(), this.#lost());
        database.onclose = () => this.#lost();
        resolve(database);
      };
    }));
    return withTimeout(OPEN_WITHIN_MS, opening.catch(() => null));
  }

  #lost() {
    this.#opened = Promise.resolve(null);
  }
}

/** @param {IDBDatabase} database */
function upgrade(database) {
  for (const name of DROPPED_ON_UPGRADE) {
    if (database.objectStoreNames.contains(name)) database.deleteObjectStore(name);
  }
  for (const [name, options] of Object.entries(STORES)) {
    if (!database.objectStoreNames.contains(name)) database.createObjectStore(name, options);
  }
}

/**
 * Resolves with the result of a request. Awaiting it keeps its transaction open.
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
export function value(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * @param {IDBTransaction} transaction
 * @returns {Promise<void>}
 */
function completed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new DOMException("aborted", "AbortError"));
  });
}

/**
 * @template T
 * @param {() => T} read
 */
function safely(read) {
  try {
    return read();
  } catch {
    return undefined;
  }
}
