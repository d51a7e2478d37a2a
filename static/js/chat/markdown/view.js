// Shows a growing markdown text. Final blocks are drawn once; only the short end that may still change is
// drawn again, and code is appended line by line, so a token costs the same in a long answer as in a
// short one. When the text is complete, blocks are drawn again if a link or a footnote in them was
// defined later. Blocks past the budget of nodes are drawn when the reader comes near (./far_part.js).
import { runWhenIdle } from "../lib/idle_tasks.js";
import { CodeBlock } from "./code_block.js";
import { FarPart } from "./far_part.js";
import { countOf } from "./syntax/links.js";
import { NodeBudget, nodesIn } from "./node_budget.js";
import { NewWords } from "./new_words.js";
import { nodesOf } from "./nodes.js";
import { Notes } from "./notes.js";
import { BlockStream } from "./stream.js";
import { joinTable, redrawTable } from "./tables.js";

const BLOCKS_PER_PART = 32;
const CHARS_PER_PART = 8_000;
const SLICE_MS = 8;
// Parts of a window that are drawn in one go. An ordinary answer has fewer, and is drawn at once, so that its
// height does not change after a reading position was restored.
const PARTS_PER_STEP = 32;

// The first texts of a task are drawn at once, as above. After this much text and time the others wait their turn,
// because a chat shows many texts at the same moment, and each may take a slice.
const CHARS_OF_TASK = 50_000;
const TASK_MS = 16;

// The nodes that a block which may still change, and blocks near the reader, may take at once.
const NODES_OF_OPEN = 4_000;
const NODES_OF_FAR = 3_000;
// Longer code has few nodes for its length, and defers its own drawing.
const SHORT_CODE_CHARS = 4_000;
const COMPARED = 64;

/** The drawing of this task: when it began, and how many characters it has drawn. */
const task = { beganMs: 0, chars: 0 };

/** Whether another text may be drawn in this task. */
function mayDrawNow() {
  if (task.chars === 0) {
    task.beganMs = performance.now();
    setTimeout(() => (task.chars = 0));
  }
  return task.chars < CHARS_OF_TASK || performance.now() - task.beganMs < TASK_MS;
}

/** Whether a text seems to begin with the former one, judged by its length and last characters. */
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
  #parts = []; // parts that were read and not drawn yet
  #notes = new Notes();
  #pieces = []; // final blocks: {part, element, knew}; `element` is null while the block is far from the reader
  #code = null; // the growing code: {block: the CodeBlock, element around it, language, text: its start}
  #open = []; // the elements of the end that may still change
  #tail = null; // the element with the text that arrived since, as it was written
  #newWords = new NewWords();
  #grew = false;
  #scroller;
  #budget;
  #partChars = 0;
  #far = null; // the FarPart to which blocks are added
  #ending = null; // the steps after the last block

  constructor(root) {
    this.#root = root;
    this.#scroller = root.closest(".scroller");
    this.#budget = new NodeBudget(this.#scroller);
  }

  /** Show `source`, which begins with the text shown before unless the answer was restarted. */
  update(source, isDone) {
    const text = source.includes("\r") ? source.replace(/\r\n?/g, "\n") : source;
    if (this.#isDone && isDone && text === this.#source) return;
    if (this.#isDone || !goesOn(this.#source, text)) this.#restart();
    this.#source = text;
    this.#isDone = isDone;
    this.#grew ||= !isDone;
    this.#root.toggleAttribute("data-grown", this.#grew);
    if (this.#isWorking) return;
    const isNow = mayDrawNow();
    task.chars += text.length + 1;
    if (!isNow || this.#work()) this.#workLater();
  }

  dispose() {
    this.#isDone = true;
    this.#source = "";
    this.#ending = [].values();
  }

  // Reading

  #workLater() {
    this.#isWorking = true;
    this.#root.toggleAttribute("data-drawing", this.#isDone);
    runWhenIdle(() => {
      const hasMore = this.#work();
      this.#isWorking = hasMore;
      if (!hasMore) this.#showWorkEnded();
      else this.#root.toggleAttribute("data-drawing", this.#isDone);
      return hasMore;
    });
  }

  /** After the next frame, in which the last parts are laid out and scrolled to; parts may be skipped only then. */
  #showWorkEnded() {
    requestAnimationFrame(() => setTimeout(() => this.#isWorking || this.#root.removeAttribute("data-drawing")));
  }

  /** Draw for a short time; returns whether parts are left. */
  #work() {
    const untilMs = performance.now() + SLICE_MS;
    while (!this.#ending) {
      if (this.#parts.length === 0) this.#readWindow();
      for (const part of this.#parts.splice(0, PARTS_PER_STEP)) this.#add(part);
      if (this.#parts.length === 0 && !this.#stream.isBehind) {
        if (!this.#isDone) {
          this.#drawOpen();
          this.#releaseHeight();
          return false;
        }
        this.#ending = this.#end();
        break;
      }
      if (performance.now() > untilMs) return true;
    }
    while (!this.#ending.next().done) if (performance.now() > untilMs) return true;
    return false;
  }

  #readWindow() {
    this.#parts = this.#stream.step(this.#source, this.#isDone);
    if (this.#parts.length === 0) return;
    this.#keepHeight();
    this.#clearOpen();
  }

  #add(part) {
    switch (part.type) {
      case "block":
        if (part.token.type !== "def") this.#addBlock(part);
        break;
      case "code":
        this.#beginCode(part.language);
        break;
      case "lines":
        this.#code.block.append(part.text);
        if (this.#code.text.length < SHORT_CODE_CHARS) this.#code.text += part.text;
        break;
      case "codeEnd":
        this.#endCode();
        break;
    }
  }

  #addBlock(part) {
    const isNote = part.token.type === "footnote";
    if (isNote) this.#notes.define(part.token.label);
    const piece = { part, element: null, knew: countOf(this.#stream.links) };
    this.#pieces.push(piece);
    // Pieces of one table stay together as long as possible.
    const isMoreOfTable = part.carried === "table" && this.#far === null && this.#budget.hasReserve;
    if (!this.#budget.isSpent || isMoreOfTable) {
      piece.element = this.#draw(part);
      this.#budget.spend(nodesIn(piece.element));
    } else if (isNote) {
      // Footnotes are always collected at the end; as plain text they are few nodes.
      part.token = plainNote(part);
      piece.element = this.#draw(part);
    } else this.#addFar(piece, part.raw);
  }

  #beginCode(language) {
    const block = new CodeBlock(language, this.#budget);
    const element = blockElement("md-block", block.element);
    this.#place(element);
    this.#budget.spend(nodesIn(element));
    this.#code = { block, element, language, text: "" };
  }

  #endCode() {
    const { block, element, language, text } = this.#code;
    this.#code = null;
    block.finish({ mayFold: !this.#grew });
    if (!this.#budget.isSpent || text.length >= SHORT_CODE_CHARS) return;
    const part = element.parentElement;
    element.remove();
    if (part.childElementCount === 0) part.remove();
    this.#addFar({ language, text }, text);
  }

  // Blocks far from the reader

  #addFar(one, raw) {
    if (!this.#far || this.#far.isFull || this.#root.lastElementChild !== this.#far.element) {
      const budget = new NodeBudget(this.#scroller, NODES_OF_FAR);
      this.#far = new FarPart(this.#scroller, (each, element) => this.#drawFar(each, element, budget));
      this.#root.append(this.#far.element);
    }
    this.#far.add(one, raw);
  }

  #drawFar(one, container, budget) {
    if (one.part) {
      one.element = this.#draw(one.part, { container, budget });
      budget.spend(nodesIn(one.element));
      return;
    }
    const block = new CodeBlock(one.language, budget);
    block.append(one.text);
    block.finish({ mayFold: !this.#grew });
    container.append(blockElement("md-block", block.element));
  }

  // Final blocks

  /** Draws a block into `container`, or at the end. */
  #draw(part, { container = null, budget = this.#budget } = {}) {
    const around = !container || container === this.#root ? this.#root.lastElementChild : container;
    const before = around?.lastElementChild;
    const nodes = nodesOf(part.token, this.#notes, budget);
    if (part.carried === "table" && before?.querySelector(".md-table table")) {
      return joinTable(before.querySelector(".md-table"), nodes.querySelector("table"));
    }
    const name = part.carried === part.token.type ? "md-block md-goes-on" : `md-block${part.token.type === "heading" ? " md-heading" : ""}`;
    const element = blockElement(name, nodes);
    if (container) container.append(element);
    else this.#place(element);
    return element;
  }

  /** Final blocks are grouped into parts, so that a new block is laid out beside a few parts, not all blocks. */
  #place(element) {
    let part = this.#root.lastElementChild;
    const isFull = part?.childElementCount >= BLOCKS_PER_PART || this.#partChars >= CHARS_PER_PART;
    if (!part || part === this.#far?.element || isFull) {
      if (this.#grew) passOver(part?.previousElementSibling);
      part = document.createElement("div");
      part.className = element.matches(".md-goes-on") ? "md-part md-goes-on" : "md-part";
      this.#root.append(part);
      this.#partChars = 0;
    }
    this.#partChars += element.textContent.length;
    part.append(element);
  }

  // The end that may still change

  #drawOpen() {
    if (this.#code) {
      this.#code.block.showOpenLine(this.#stream.openLine);
      return;
    }
    const { open, since } = this.#stream;
    if (since && this.#open.length > 0) this.#showTail(since);
    else this.#drawOpenBlocks(open);
    const last = this.#open.at(-1);
    if (last) this.#newWords.show(last);
  }

  #drawOpenBlocks(blocks) {
    this.#clearOpen();
    const budget = new NodeBudget(this.#scroller, NODES_OF_OPEN);
    for (const part of blocks) if (part.token.type !== "def") this.#open.push(this.#draw(part, { container: this.#root, budget }));
  }

  #showTail(text) {
    if (!this.#tail) {
      this.#tail = document.createElement("p");
      this.#tail.className = "md-raw";
      this.#open.at(-1).append(this.#tail);
    }
    this.#tail.textContent = text;
  }

  /**
   * Keep the height while the open end is drawn again as final blocks, which may take several slices. Otherwise the
   * browser would move a reader at the end up, as if the reader had scrolled away.
   */
  #keepHeight() {
    if (this.#open.length > 0) this.#root.style.minBlockSize = `${this.#root.getBoundingClientRect().height}px`;
  }

  #releaseHeight() {
    this.#root.removeAttribute("style");
  }

  #clearOpen() {
    for (const element of this.#open) element.remove();
    this.#open = [];
    this.#tail = null;
  }

  // The end

  /** Finishes the text in short steps. */
  *#end() {
    this.#clearOpen();
    this.#releaseHeight();
    yield* this.#drawLateReferences();
    this.#gatherNotes();
  }

  /** Addresses and footnotes may be defined after they were used, which also changes the numbers. */
  *#drawLateReferences() {
    const known = countOf(this.#stream.links);
    this.#notes.settle();
    const isNote = (piece) => piece.part.token.type === "footnote";
    const late = this.#pieces.filter(({ part, knew }) => part.raw.includes("[^") || (knew !== known && part.raw.includes("[")));
    // The text comes first, because it determines the numbers of the footnotes.
    for (const piece of [...late.filter((one) => !isNote(one)), ...late.filter(isNote)]) {
      this.#drawAgain(piece);
      yield;
    }
  }

  #drawAgain(piece) {
    const { part } = piece;
    if (!part.token.isPlainNote) part.token = this.#stream.again(part);
    if (!piece.element) {
      this.#notes.referAll(part.token);
      return;
    }
    const nodes = nodesOf(part.token, this.#notes, this.#budget);
    const table = part.token.type === "table" && nodes.querySelector("table");
    if (table) {
      redrawTable(piece.element, table);
      return;
    }
    const fresh = blockElement(piece.element.className, nodes);
    piece.element.replaceWith(fresh);
    piece.element = fresh;
  }

  /** Footnotes come last, by number. One without a reference is not shown. */
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
    this.#releaseHeight();
    this.#stream = new BlockStream();
    this.#parts = [];
    this.#notes = new Notes();
    this.#pieces = [];
    this.#code = null;
    this.#open = [];
    this.#tail = null;
    this.#budget = new NodeBudget(this.#scroller);
    this.#far = null;
    this.#ending = null;
  }
}

/** Let the browser skip a part that the growing text has left behind; it keeps its height. */
function passOver(part) {
  if (!part || part.classList.contains("md-part-past")) return;
  // Not `offsetHeight`, whose rounding would move the text below it.
  part.style.containIntrinsicSize = `auto none auto ${part.getBoundingClientRect().height}px`;
  part.classList.add("md-part-past");
}

/** A footnote whose text stays as it was written. */
const plainNote = ({ token, raw }) => ({
  ...token, isPlainNote: true, tokens: [{ type: "plain", raw: raw.slice(raw.indexOf("]:") + 2).trim() }],
});

/** `dir` for each block: an answer may change its language. */
function blockElement(name, ...nodes) {
  const element = document.createElement("div");
  element.className = name;
  element.dir = "auto";
  element.append(...nodes);
  return element;
}
