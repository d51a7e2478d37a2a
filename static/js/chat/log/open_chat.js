// One chat in memory: its transcript, and signals that tell views what to draw again. A delta ticks only the
// signal of its message, once per animation frame.
import { batch, signal } from "../../signals.js";
import { oncePerFrame } from "../lib/frames.js";
import { Change, emptyTranscript, foldEntry, isAnswering, ROOT, shownChild, shownPath } from "./fold.js";
import { runWhenIdle } from "../lib/idle_tasks.js";
import { matchesFingerprint } from "./verify.js";

const AUDIT_MS = 4; // at a time
const OF_FILES = new Set(["file.erased", "file.transcribed"]);
const ENDS = new Set(["message.completed", "message.error"]);

/** @typedef {import("./fold.js").Transcript} Transcript */
/** @typedef {import("./fold.js").Message} Message */
/** @typedef {import("./socket.js").Entry} Entry */

export class OpenChat {
  id;
  transcript = emptyTranscript();
  /** Ticks when messages were added, a branch was chosen or a status changed. */
  shape = signal(0);
  title = signal("");
  /** The instructions for the model in this chat. */
  instructions = signal("");
  isTemporary = signal(false);
  isDeleted = signal(false);
  /** Whether the whole chat is shown: from this browser's store, or because replay has caught up. */
  isLoaded = signal(false);
  /** Until the chat is loaded, an OpenChat with its last messages, if the page or this browser's store has them. */
  glimpse = signal(/** @type {OpenChat | null} */ (null));
  /** Whether this OpenChat is such a read-only preview. */
  isGlimpse = false;
  /** Whether the browser's store has been read, which gives the cursor to continue from. */
  isReady = signal(false);
  /** @type {(ids: string[] | null) => void} called at once with the ids of changed messages (null: all of them) */
  onChanged = () => {};
  /** The server's reason if the chat does not exist or belongs to somebody else. */
  problem = signal(/** @type {{code: string, message: string} | null} */ (null));
  /** The id of the message whose text failed its check even after the chat was read again. */
  damaged = signal(/** @type {string | null} */ (null));
  /** The last answer that ended while it was shown, for the screen reader. */
  lastEnded = signal(/** @type {{id: string, at: string} | null} */ (null));

  #hasCaughtUp = false;
  #auditedAtMs = 0;
  /** @type {Message[] | null} */
  #path = null;
  /** @type {Map<string, import("../../../vendor/preact-signals-core-1.14.5/signals-core.js").Signal<number>>} */
  #ticks = new Map();
  /** @type {Set<string>} */
  #dirty = new Set();
  #isShapeDirty = false;
  /** @type {Set<string>} */
  #healed = new Set();
  /** @type {Promise<void> | null} shared by all messages that are found damaged meanwhile */
  #rereading = null;
  #reread;
  #onReplaced;
  #show = oncePerFrame(() => this.#flush());

  /**
   * A preview needs no functions.
   * @param {string} id
   * @param {() => Promise<Entry[]>} reread reads the entries of the whole chat from the start
   * @param {() => void} onReplaced follows again, because entries that arrived during the reading are missing
   */
  constructor(id, reread = async () => [], onReplaced = () => {}) {
    this.id = id;
    this.#reread = reread;
    this.#onReplaced = onReplaced;
  }

  /** The id of the last folded entry, or null; reading continues after it. */
  get cursor() {
    return this.transcript.cursor === "0-0" ? null : this.transcript.cursor;
  }

  /**
   * A signal that ticks when this message's text or status changed.
   * @param {string} messageId
   */
  tick(messageId) {
    let tick = this.#ticks.get(messageId);
    if (!tick) this.#ticks.set(messageId, (tick = signal(0)));
    return tick;
  }

  /**
   * Fold new entries.
   * @param {Entry[]} entries
   */
  fold(entries) {
    /** @type {Set<string>} */
    const changed = new Set();
    for (const [id, data] of entries) {
      const result = foldEntry(this.transcript, id, data);
      if (!result) continue;
      if (result.message) changed.add(result.message);
      if (OF_FILES.has(data.type)) for (const message of this.#messagesWith(data.file)) changed.add(message);
      if (result.change !== Change.TEXT) this.#isShapeDirty = true;
      if (result.change === Change.SHAPE) this.#path = null;
      if (ENDS.has(data.type)) this.#ended(this.transcript.messages[data.message]);
    }
    for (const id of changed) this.#dirty.add(id);
    this.onChanged([...changed]);
    this.#show();
  }

  /**
   * The messages that have a file: branches share it.
   * @param {string} file
   */
  #messagesWith(file) {
    return Object.values(this.transcript.messages).filter(({ files }) => files?.some(({ id }) => id === file)).map(({ id }) => id);
  }

  /** The chat begins on this page, so there is nothing to read. */
  begin() {
    this.#hasCaughtUp = true;
    this.isReady.value = true;
    this.#loaded();
  }

  /**
   * Take the copy from the browser's store; false if something newer is here already.
   * @param {Transcript} transcript
   */
  restore(transcript) {
    if (this.transcript.cursor !== "0-0") return false;
    this.transcript = transcript;
    // The preview in the page may be newer, so it stays until the rest has arrived.
    if (this.#hasGlimpse(transcript)) this.#loaded();
    this.#redraw();
    void this.#audit();
    return true;
  }

  /**
   * Show these messages, each the parent of the next, as a preview; false if the chat is here already.
   * @param {Message[]} messages
   */
  showGlimpse(messages) {
    if (messages.length === 0 || this.isLoaded.peek() || this.glimpse.peek()) return false;
    const glimpse = new OpenChat(this.id);
    glimpse.isGlimpse = true;
    messages.forEach((message, index) => {
      glimpse.transcript.messages[message.id] = message;
      glimpse.transcript.children[messages[index - 1]?.id ?? ROOT] = [message.id];
    });
    this.glimpse.value = glimpse;
    return true;
  }

  /** Replay has caught up: draw what was collected. */
  caughtUp() {
    this.#hasCaughtUp = true;
    this.problem.value = null;
    if (!this.isLoaded.peek()) this.#flush();
    this.#loaded();
  }

  /** The messages shown, first to last. The array is shared, so callers must not change it. */
  path() {
    return (this.#path ??= shownPath(this.transcript));
  }

  answering() {
    return this.path().filter(isAnswering);
  }

  /**
   * The answer shown below a user message, or null.
   * @param {Message} message
   */
  replyTo(message) {
    return shownChild(this.transcript, message.id);
  }

  /**
   * Show another branch before the log has confirmed it; returns a function that undoes this.
   * @param {Message} message
   */
  chooseLocally(message) {
    const key = message.parent ?? "";
    const before = this.transcript.chosen[key];
    this.transcript.chosen[key] = message.id;
    this.#redraw();
    return () => {
      if (this.transcript.chosen[key] !== message.id) return; // Another branch was chosen since.
      if (before) this.transcript.chosen[key] = before;
      else delete this.transcript.chosen[key];
      this.#redraw();
    };
  }

  /**
   * Show the branches that lead to a message, on this page only; nothing is stored.
   * @param {string} messageId
   */
  showBranchOf(messageId) {
    const { messages, chosen } = this.transcript;
    for (let message = messages[messageId]; message; message = messages[message.parent ?? ROOT]) chosen[message.parent ?? ROOT] = message.id;
    this.#redraw();
  }

  #loaded() {
    batch(() => {
      this.isLoaded.value = true;
      this.glimpse.value = null;
    });
  }

  /**
   * Whether `transcript` has all messages that are shown.
   * @param {Transcript} transcript
   */
  #hasGlimpse({ messages }) {
    const last = this.glimpse.peek()?.path().at(-1);
    return !last || messages[last.id]?.status === last.status;
  }

  #redraw() {
    this.#path = null;
    this.#isShapeDirty = true;
    this.#flush();
  }

  #flush() {
    batch(() => {
      for (const id of this.#dirty) {
        const tick = this.#ticks.get(id);
        if (tick) tick.value += 1;
      }
      this.#dirty.clear();
      if (!this.#isShapeDirty) return;
      this.#isShapeDirty = false;
      this.title.value = this.transcript.title;
      this.instructions.value = this.transcript.instructions;
      this.isTemporary.value = this.transcript.temporary;
      this.isDeleted.value = this.transcript.deleted;
      this.shape.value += 1;
    });
  }

  /** @param {Message | undefined} message */
  #ended(message) {
    if (!message) return;
    if (this.#hasCaughtUp) this.lastEnded.value = { id: message.id, at: this.transcript.cursor };
    // A long history is shown before it is checked. A message that is continued meanwhile is checked at its new end.
    runWhenIdle(() => {
      if (!isAnswering(message)) void this.#checkOrLater(message);
    });
  }

  /** @param {Message} message */
  #checkOrLater(message) {
    return this.#check(message).catch(() => {
      // Reading again failed; the next end or reload checks again.
      this.#healed.delete(message.id);
    });
  }

  /** Check the messages from the browser's store while the page is idle. */
  async #audit() {
    for (const message of Object.values(this.transcript.messages)) {
      if (message.sha256 === null || isAnswering(message)) continue;
      await this.#checkOrLater(message);
      if (performance.now() - this.#auditedAtMs < AUDIT_MS) continue;
      await new Promise((resolve) => (globalThis.requestIdleCallback ?? setTimeout)(() => resolve(undefined)));
      this.#auditedAtMs = performance.now();
    }
  }

  /**
   * Compare the folded text with its hash; read the chat again if it differs, once per message.
   * @param {Message} message
   * @returns {Promise<void>}
   */
  async #check(message) {
    if (await matchesFingerprint(message)) return undefined;
    // Reading again for one message has repaired the others, too.
    const now = this.transcript.messages[message.id];
    if (now && now !== message) return this.#check(now);
    if (this.#healed.has(message.id)) {
      this.damaged.value = message.id;
      return undefined;
    }
    this.#healed.add(message.id);
    await (this.#rereading ??= this.#readAgain());
    const healed = this.transcript.messages[message.id];
    if (!healed || !(await matchesFingerprint(healed))) this.damaged.value = message.id;
    return undefined;
  }

  async #readAgain() {
    try {
      const fresh = emptyTranscript();
      for (const [id, data] of await this.#reread()) foldEntry(fresh, id, data);
      this.#replace(fresh);
    } finally {
      this.#rereading = null;
    }
  }

  /** @param {Transcript} transcript */
  #replace(transcript) {
    this.transcript = transcript;
    for (const id of Object.keys(transcript.messages)) this.#dirty.add(id);
    this.#redraw();
    this.onChanged(null);
    this.#onReplaced();
  }
}
