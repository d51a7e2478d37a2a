// Everything that this browser stores of a person: its owner, the data that a page needs to open without
// the network, and how all of it is erased.
import { effect } from "../signals.js";
import { LocalChats } from "./local/chats.js";
import { LocalDatabase, value, VISITOR } from "./local/database.js";
import { LEFT_BEHIND, SendQueueStore } from "./local/send_queue_store.js";
import { keepConfig, keptConfig } from "./local/page_config.js";
import { LEFT_FILES, LEFT_RECORDINGS, remember } from "./lib/storage.js";

const KEEP_AFTER_MS = 500;
// Not stored with the page's config: these are stored elsewhere, or belong to one address only.
const OWN_PLACES = { chat: null, glimpse: undefined, drafts: undefined, drafts_more: undefined, shell: undefined };

export class OwnStore {
  chats;
  sendQueue;
  keepPageNow = () => {};
  #database = new LocalDatabase();
  #owner = VISITOR;
  #isGuest = false;
  #isOver = false;

  constructor() {
    this.chats = new LocalChats(this.#database);
    this.sendQueue = new SendQueueStore(this.#database);
  }

  get owner() {
    return this.#owner;
  }

  /**
   * The owner of data that belongs to the owner now, or null. A guest is the visitor of this browser: the page may have
   * ended after the server had made the guest, and before it knew of it.
   */
  get before() {
    return this.#isGuest ? VISITOR : null;
  }

  /**
   * Bind the store to the person of the page, and erase the data of anybody else. The app shell names
   * nobody: the owner is then the last person in this browser. Returns the config of the page.
   */
  async begin(page) {
    if (!page.shell) {
      this.#owner = page.user?.id ?? VISITOR;
      this.#isGuest = page.user?.is_guest ?? false;
      void this.#database.claim(this.#owner, { wasVisitor: this.before === VISITOR });
      return page;
    }
    this.#owner = await this.#database.claim();
    const user = this.#owner === VISITOR ? null : { id: this.#owner, name: "", email: null, is_guest: true };
    const kept = (await keptConfig(this.#database)) ?? { user, chats: [], cursor: null, models: [], default_model: null };
    return { ...kept, ...OWN_PLACES, ws_path: page.ws_path, isShell: true };
  }

  /** A store whose code is loaded later. */
  later = (Kind) => new Kind({ database: this.#database, makeRoom: () => this.chats.prune(0), value });

  /** The visitor has become this person. Returns whether the owner was a visitor. */
  adopt(user) {
    if (this.#owner !== VISITOR) return false;
    this.#owner = user.id;
    void this.#database.adopt(user.id);
    return true;
  }

  /** Store `snapshot()`, the current config, whenever a signal that it reads has changed. */
  keepPage(snapshot) {
    let timer = null;
    this.keepPageNow = () => {
      clearTimeout(timer);
      timer = null;
      if (!this.#isOver) void keepConfig(this.#database, JSON.parse(JSON.stringify({ ...snapshot(), ...OWN_PLACES })));
    };
    effect(() => {
      snapshot();
      timer ??= setTimeout(this.keepPageNow, KEEP_AFTER_MS);
    });
    const idle = globalThis.requestIdleCallback ?? setTimeout;
    idle(() => void this.chats.prune());
  }

  /** Something else that a page keeps under a name, or null if there is none. */
  kept = (name) => keptConfig(this.#database, name);
  keep = (name, content) => void (this.#isOver || keepConfig(this.#database, content, name));

  /** The person has signed out, or is suspended: erase everything. */
  async erase() {
    this.#isOver = true;
    remember("model", null);
    remember(LEFT_BEHIND, null);
    remember(LEFT_FILES, null);
    remember(LEFT_RECORDINGS, null);
    await this.#database.erase();
  }
}
