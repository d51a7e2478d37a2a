// One chat in memory: its fold, and signals that say what a view must draw again. A token makes
// one message's signal tick, once per frame; nothing else is touched.
import { batch, signal } from "../../signals.js";
import { oncePerFrame } from "../lib/frames.js";
import { Change, emptyTranscript, foldEntry, isAnswering, ROOT, shownChild, shownPath } from "./fold.js";
import { later } from "../lib/idle_tasks.js";
import { matchesFingerprint } from "./verify.js";

const AUDIT_MS = 4; // at a time
const ENDS = new Set(["message.completed", "message.error"]);

export class OpenChat {
  id;
  transcript = emptyTranscript();
  /** Ticks when messages came, a branch was chosen or a status changed. */
  shape = signal(0);
  title = signal("");
  /** What the model is told in this chat. */
  instructions = signal("");
  isDeleted = signal(false);
  /** Whether what is shown is the whole chat: kept in this browser, or replay has caught up. */
  isLoaded = signal(false);
  /** Until then its last messages, if the page or this browser's store has them: an OpenChat of their own. */
  glimpse = signal(null);
  /** Whether this is no more than that: to be read, and nothing can be done with it. */
  isGlimpse = false;
  /** Whether it is known where to go on reading: what this browser keeps has been looked up. */
  isReady = signal(false);
  /** Told at once of the ids of messages that changed (null: all of them). */
  onChanged = () => {};
  /** null, or the server's {code, message}: not there, not ours. */
  problem = signal(null);
  /** The id of the message whose text failed its check even after reading again. */
  damaged = signal(null);
  /** The answer that ended last while being watched, for the screen reader. */
  lastEnded = signal(null);

  #hasCaughtUp = false;
  #auditedAtMs = 0;
  #path = null;
  #ticks = new Map();
  #dirty = new Set();
  #isShapeDirty = false;
  #healed = new Set();
  #rereading = null; // for all that are found damaged meanwhile
  #reread;
  #onReplaced;
  #show = oncePerFrame(() => this.#flush());

  /**
   * @param reread async () => entries of the whole chat, read from the start
   * @param onReplaced () => follow again: what came during the reading is not in it
   */
  constructor(id, reread, onReplaced) {
    this.id = id;
    this.#reread = reread;
    this.#onReplaced = onReplaced;
  }

  /** The last entry folded, or null: where to go on reading. */
  get cursor() {
    return this.transcript.cursor === "0-0" ? null : this.transcript.cursor;
  }

  /** A signal that ticks when this message's text or status changed. */
  tick(messageId) {
    if (!this.#ticks.has(messageId)) this.#ticks.set(messageId, signal(0));
    return this.#ticks.get(messageId);
  }

  /** Fold entries as they come; gives the messages that ended. */
  fold(entries) {
    const changed = new Set();
    for (const [id, data] of entries) {
      const result = foldEntry(this.transcript, id, data);
      if (!result) continue;
      if (result.message) changed.add(result.message);
      if (result.change !== Change.TEXT) this.#isShapeDirty = true;
      if (result.change === Change.SHAPE) this.#path = null;
      if (ENDS.has(data.type)) this.#ended(this.transcript.messages[data.message]);
    }
    for (const id of changed) this.#dirty.add(id);
    this.onChanged([...changed]);
    this.#show();
  }

  /** A chat that begins here: there is nothing to be read. */
  begin() {
    this.#hasCaughtUp = true;
    this.isReady.value = true;
    this.#loaded();
  }

  /** Take what this browser has kept; false if something newer is here already. */
  restore(transcript) {
    if (this.transcript.cursor !== "0-0") return false;
    this.transcript = transcript;
    // What the page has brought along may be newer: it stays until the rest has come.
    if (this.#hasGlimpse(transcript)) this.#loaded();
    this.#redraw();
    void this.#audit();
    return true;
  }

  /** Show these messages, each the parent of the next, while there is nothing else; false if there is. */
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

  /** Replay has caught up: draw now what was gathered. */
  caughtUp() {
    this.#hasCaughtUp = true;
    this.problem.value = null;
    if (!this.isLoaded.peek()) this.#flush();
    this.#loaded();
  }

  /** The messages shown, first to last. Not to be changed: many ask for it, and it is made once. */
  path() {
    return (this.#path ??= shownPath(this.transcript));
  }

  answering() {
    return this.path().filter(isAnswering);
  }

  /** The answer shown below a user message, or null. */
  replyTo(message) {
    return shownChild(this.transcript, message.id);
  }

  /** Show another branch before the log has confirmed it; gives a function that takes it back. */
  chooseLocally(message) {
    const key = message.parent ?? "";
    const before = this.transcript.chosen[key];
    this.transcript.chosen[key] = message.id;
    this.#redraw();
    return () => {
      if (before) this.transcript.chosen[key] = before;
      else delete this.transcript.chosen[key];
      this.#redraw();
    };
  }

  /** Show the branches that lead to a message, here only: nothing is stored, no other device moves. */
  showBranchOf(messageId) {
    let message = this.transcript.messages[messageId];
    for (; message; message = this.transcript.messages[message.parent]) this.transcript.chosen[message.parent ?? ""] = message.id;
    this.#redraw();
  }

  #loaded() {
    batch(() => {
      this.isLoaded.value = true;
      this.glimpse.value = null;
    });
  }

  /** Whether all that is shown of the chat is in `transcript` as well. */
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
      for (const id of this.#dirty) if (this.#ticks.has(id)) this.#ticks.get(id).value += 1;
      this.#dirty.clear();
      if (!this.#isShapeDirty) return;
      this.#isShapeDirty = false;
      this.title.value = this.transcript.title;
      this.instructions.value = this.transcript.instructions;
      this.isDeleted.value = this.transcript.deleted;
      this.shape.value += 1;
    });
  }

  #ended(message) {
    if (!message) return;
    if (this.#hasCaughtUp) this.lastEnded.value = { id: message.id, at: this.transcript.cursor };
    // A long history is shown before it is checked; what goes on meanwhile is checked at its new end.
    later(() => isAnswering(message) || this.#checkOrLater(message));
  }

  #checkOrLater(message) {
    return this.#check(message).catch(() => {
      // Reading again failed on the way; the next end or reload checks again.
      this.#healed.delete(message.id);
    });
  }

  /** What was kept is compared too, while there is nothing else to do. */
  async #audit() {
    for (const message of Object.values(this.transcript.messages)) {
      if (message.sha256 === null || isAnswering(message)) continue;
      await this.#checkOrLater(message);
      if (performance.now() - this.#auditedAtMs < AUDIT_MS) continue;
      await new Promise((resolve) => (globalThis.requestIdleCallback ?? setTimeout)(resolve));
      this.#auditedAtMs = performance.now();
    }
  }

  /** Compare what was folded with what was stored; heal by reading again, once per message. */
  async #check(message) {
    if (await matchesFingerprint(message)) return undefined;
    // Where many are damaged, reading again for one of them has healed the others.
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

  #replace(transcript) {
    this.transcript = transcript;
    for (const id of Object.keys(transcript.messages)) this.#dirty.add(id);
    this.#redraw();
    this.onChanged(null);
    this.#onReplaced();
  }
}
