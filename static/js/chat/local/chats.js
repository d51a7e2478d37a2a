// The most recently used chats, stored in this browser. They are only a copy of the server's: if records are
// missing or do not fit together, the chat is read again.
import { isAfter, uuid7 } from "../lib/ids.js";
import { BLOCK_MESSAGES, blockOf, headOf, SHAPE, transcriptOf } from "./blocks.js";
import { value } from "./database.js";

const MOST_CHATS = 200;
const MOST_CHARS = 60_000_000;
const MOST_CHARS_OF_ONE = 20_000_000;
const USED_AGAIN_MS = 3_600_000;
const BLOCKS_AT_A_TIME = 16;

/** @typedef {import("../log/fold.js").Transcript} Transcript */
/** @typedef {import("../log/fold.js").Message} Message */
/** @typedef {ReturnType<typeof headOf>} Head */

/** @param {string} id */
const blocksOf = (id) => IDBKeyRange.bound([id], [id, []]);

export class LocalChats {
  #database;

  /** @param {import("./database.js").LocalDatabase} database */
  constructor(database) {
    this.#database = database;
    database.onFull = () => void this.prune(0.5);
  }

  /**
   * The preview of a long chat: its last messages. [] for other chats.
   * @param {string} id
   */
  async glimpse(id) {
    /** @type {Head | undefined} */
    const head = await this.#database.run(["heads"], "readonly", (store) => value(store("heads").get(id)));
    return head?.shape === SHAPE ? head.glimpse : [];
  }

  /**
   * The stored transcript and its revision, or null.
   * @param {string} id
   */
  async load(id, nowMs = Date.now()) {
    const found = await this.#database.run(["heads", "blocks"], "readonly", async (store) => {
      /** @type {Head | undefined} */
      const head = await value(store("heads").get(id));
      return head && { head, blocks: await readBlocks(store("blocks"), id) };
    });
    if (!found) return null;
    const { head, blocks } = found;
    const transcript = transcriptOf(head, blocks);
    if (!transcript) {
      await this.remove(id);
      return null;
    }
    if (nowMs - head.usedMs > USED_AGAIN_MS) void this.#used(id, nowMs);
    return { transcript, revision: head.revision };
  }

  /**
   * Store a transcript. `takeDirty()` returns the blocks that changed since `revision` was written or loaded.
   * If another tab has written since, all blocks are written, or nothing if that tab's cursor is not older.
   * Returns the new revision, or null if nothing was stored; then the next call writes all blocks.
   * @param {string} id
   * @param {Transcript} transcript
   * @param {{takeDirty: () => Set<number>, revision: string | null}} changes
   */
  async save(id, transcript, { takeDirty, revision }) {
    const all = Object.values(transcript.messages);
    const chars = all.reduce((sum, message) => sum + message.text.length + message.reasoning.length, 0);
    if (chars > MOST_CHARS_OF_ONE) return null;
    const kept = await this.#database.run(["heads", "blocks"], "readwrite", async (store) => {
      /** @type {Head | undefined} */
      const before = await value(store("heads").get(id));
      const isMine = before?.revision === revision;
      if (before && !isMine && !isAfter(transcript.cursor, before.cursor)) return null;
      // Nothing is awaited from here on, so that all records belong to the same state.
      const dirty = takeDirty();
      const messages = Object.values(transcript.messages);
      const head = headOf(id, transcript, { revision: uuid7(), chars, usedMs: Date.now() });
      const last = blockOf(Math.max(0, messages.length - 1));
      if (!isMine) store("blocks").delete(blocksOf(id));
      for (let block = 0; block <= last; block++) {
        const from = block * BLOCK_MESSAGES;
        if (!isMine || dirty.has(block)) store("blocks").put(messages.slice(from, from + BLOCK_MESSAGES), [id, block]);
      }
      store("heads").put(head);
      return head.revision;
    });
    return kept ?? null;
  }

  /** @param {string} id */
  remove(id) {
    return this.#database.run(["heads", "blocks"], "readwrite", (store) => {
      store("heads").delete(id);
      store("blocks").delete(blocksOf(id));
    });
  }

  /** Remove the least recently used chats, down to the share `part` of the limits. */
  prune(part = 1) {
    return this.#database.run(["heads", "blocks"], "readwrite", async (store) => {
      /** @type {Head[]} */
      const heads = await value(store("heads").getAll());
      let chars = 0;
      heads.sort((a, b) => b.usedMs - a.usedMs).forEach((head, index) => {
        chars += head.chars;
        if (index < MOST_CHATS * part && chars <= MOST_CHARS * part) return;
        store("heads").delete(head.id);
        store("blocks").delete(blocksOf(head.id));
      });
    });
  }

  /**
   * @param {string} id
   * @param {number} nowMs
   */
  #used(id, nowMs) {
    return this.#database.run(["heads"], "readwrite", async (store) => {
      /** @type {Head | undefined} */
      const head = await value(store("heads").get(id));
      if (head) store("heads").put({ ...head, usedMs: nowMs });
    });
  }
}

/**
 * Reads all blocks, some at a time, because reading many at once keeps the page from drawing.
 * @param {IDBObjectStore} store
 * @param {string} id
 */
async function readBlocks(store, id) {
  /** @type {Message[][]} */
  const blocks = [];
  for (let from = 0; ; from += BLOCKS_AT_A_TIME) {
    const some = await value(store.getAll(IDBKeyRange.bound([id, from], [id, from + BLOCKS_AT_A_TIME], false, true)));
    blocks.push(...some);
    if (some.length < BLOCKS_AT_A_TIME) return blocks;
  }
}
