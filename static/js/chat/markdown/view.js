// A markdown text on screen that grows. What is final is drawn once and left alone; only the short
// end that may still change is drawn again, and code is appended line by line: one more token
// costs the same in a long answer as in a short one. When the text is whole, what was drawn before
// an address or a footnote was defined is drawn again.
import { later } from "../slices.js";
import { CodeBlock } from "./code_block.js";
import { nodesOf } from "./nodes.js";
import { Notes } from "./notes.js";
import { BlockStream } from "./stream.js";
import { joinTable, redrawTable } from "./tables.js";

const BLOCKS_PER_PART = 32;
const SLICE_MS = 8;

const COMPARED = 64;

/** Whether a text begins with the one before it, as far as its length and its last characters tell. */
function goesOn(before, text) {
  const end = before.slice(-COMPARED);
  return text.length >= before.length && text.slice(before.length - end.length, before.length) === end;
}

export class MarkdownView {
  #root;
  #source = "";
  #isDone = false;
  #isWorking = false;
  #stream = new BlockStream();
  #notes = new Notes();
  #pieces = []; // of what is final: {part, element, knew}
  #code = null; // the CodeBlock that is growing
  #open = []; // elements of what may still change
  #tail = null; // the element that shows, as it was written, what came since they were read
  #grew = false;

  constructor(root) {
    this.#root = root;
  }

  /** Show `source`, which starts with what was shown before unless an answer was begun anew. */
  update(source, isDone) {
    const text = source.includes("\r") ? source.replace(/\r\n?/g, "\n") : source;
    if (this.#isDone && isDone && text === this.#source) return;
    if (this.#isDone || !goesOn(this.#source, text)) this.#restart();
    this.#source = text;
    this.#isDone = isDone;
    this.#grew ||= !isDone;
    if (!this.#isWorking && this.#work()) this.#workLater();
  }

  dispose() {
    this.#isDone = true;
    this.#source = "";
  }

  // Reading on

  #workLater() {
    this.#isWorking = true;
    later(() => {
      const hasMore = this.#work();
      this.#isWorking = hasMore;
      return hasMore;
    });
  }

  /** Draw what there is to draw, for a short time; whether there is more. */
  #work() {
    const untilMs = performance.now() + SLICE_MS;
    do {
      const parts = this.#stream.step(this.#source, this.#isDone);
      if (parts.length > 0) this.#clearOpen();
      for (const part of parts) this.#add(part);
      if (this.#stream.isBehind && performance.now() > untilMs) return true;
    } while (this.#stream.isBehind);
    if (this.#isDone) this.#finish();
    else this.#drawOpen();
    return false;
  }

  #add(part) {
    switch (part.type) {
      case "block":
        if (part.token.type === "def") return;
        if (part.token.type === "footnote") this.#notes.define(part.token.label);
        this.#pieces.push({ part, element: this.#draw(part, true), knew: this.#known() });
        break;
      case "code":
        this.#code = new CodeBlock(part.language);
        this.#place(blockElement("md-block", this.#code.element));
        this.#pieces.push(null);
        break;
      case "lines":
        this.#code.append(part.text);
        break;
      case "codeEnd":
        this.#code.finish({ mayFold: !this.#grew });
        this.#code = null;
        break;
    }
  }

  /** How much was defined so far that a text may refer to. */
  #known() {
    return Object.keys(this.#stream.links).length;
  }

  // What is final

  #draw(part, isFinal) {
    const before = this.#lastElement();
    const nodes = nodesOf(part.token, this.#notes);
    if (part.carried === "table" && before?.querySelector(".md-table table")) {
      return joinTable(before.querySelector(".md-table"), nodes.querySelector("table"));
    }
    const name = part.carried === part.token.type ? "md-block md-goes-on" : `md-block${part.token.type === "heading" ? " md-heading" : ""}`;
    const element = blockElement(name, nodes);
    if (isFinal) this.#place(element);
    else this.#root.append(element);
    return element;
  }

  /** Final blocks live in parts: one more block is laid out beside a few parts, not beside them all. */
  #place(element) {
    let part = this.#root.lastElementChild;
    if (!part || part.childElementCount >= BLOCKS_PER_PART) {
      part = document.createElement("div");
      part.className = "md-part";
      this.#root.append(part);
    }
    part.append(element);
  }

  #lastElement() {
    return this.#root.lastElementChild?.lastElementChild ?? null;
  }

  // What may still change

  #drawOpen() {
    if (this.#code) {
      this.#code.showOpenLine(this.#stream.openLine);
      return;
    }
    const { open, since } = this.#stream;
    if (since && this.#open.length > 0) {
      this.#showTail(since);
      return;
    }
    this.#clearOpen();
    for (const part of open) if (part.token.type !== "def") this.#open.push(this.#draw(part, false));
  }

  #showTail(text) {
    if (!this.#tail) {
      this.#tail = document.createElement("p");
      this.#tail.className = "md-raw";
      this.#open.at(-1).append(this.#tail);
    }
    this.#tail.textContent = text;
  }

  #clearOpen() {
    for (const element of this.#open) element.remove();
    this.#open = [];
    this.#tail = null;
  }

  // The end

  #finish() {
    this.#clearOpen();
    this.#drawLateReferences();
    this.#gatherNotes();
  }

  /** Addresses and footnotes may be defined after they were used, which also changes the numbers. */
  #drawLateReferences() {
    const known = this.#known();
    this.#notes.settle();
    const isNote = (piece) => piece.part.token.type === "footnote";
    const late = this.#pieces.filter((piece) =>
      piece && (piece.part.raw.includes("[^") || (piece.knew !== known && piece.part.raw.includes("["))));
    // The text first: it gives the footnotes their numbers.
    for (const piece of [...late.filter((one) => !isNote(one)), ...late.filter(isNote)]) {
      const nodes = nodesOf(this.#stream.again(piece.part), this.#notes);
      const table = piece.part.token.type === "table" && nodes.querySelector("table");
      if (table) {
        redrawTable(piece.element, table);
        continue;
      }
      const fresh = blockElement(piece.element.className, nodes);
      piece.element.replaceWith(fresh);
      piece.element = fresh;
    }
  }

  /** Footnotes come last, by number; one that nothing refers to is not shown. */
  #gatherNotes() {
    const notes = [...this.#root.querySelectorAll(".md-block > .note")];
    if (notes.length === 0) return;
    const numbered = notes.map((note) => ({ note, number: this.#notes.numberOf(note.dataset.note) }));
    for (const { note } of numbered) note.parentElement.remove();
    const shown = numbered.filter(({ number }) => number !== null).sort((a, b) => a.number - b.number);
    if (shown.length === 0) return;
    const section = document.createElement("section");
    section.className = "notes";
    section.append(...shown.map(({ note }) => note));
    this.#root.append(section);
  }

  #restart() {
    this.#root.replaceChildren();
    this.#stream = new BlockStream();
    this.#notes = new Notes();
    this.#pieces = [];
    this.#code = null;
    this.#open = [];
    this.#tail = null;
  }
}

/** `dir` for each block: an answer may change its language. */
function blockElement(name, ...nodes) {
  const element = document.createElement("div");
  element.className = name;
  element.dir = "auto";
  element.append(...nodes);
  return element;
}
