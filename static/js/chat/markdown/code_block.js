// A block of code on screen: its language, its buttons and its lines. Lines are only appended, in separate
// boxes, so that the browser need not lay out the earlier ones again. Colours come from a worker, box by box.
import { highlighted } from "../highlight/client.js";
import { nameOf } from "../highlight/names.js";
import { splitRuns } from "../highlight/runs.js";
import { runWhenIdle } from "../lib/idle_tasks.js";
import { text } from "../text.js";
import { button } from "./code_tools.js";
import { fill, hasHidden, marksIn, MOST_MARKS, shown } from "./hidden.js";
import { nodesIn } from "./node_budget.js";
import { isPreviewable } from "./preview.js";

const LINES_PER_BOX = 40;
const LONGEST_BOX_CHARS = 4_000;
// Boxes of long code hold more lines, which keeps the number of boxes small.
const SMALL_BOXES = 100;
const BOXES_LAID_OUT = 25;
const LINES_PER_LARGE_BOX = 400;
const LINE_REM = 1.4;
// A guess for boxes of wrapped lines that were never laid out.
const CHARS_PER_ROW = 90;
/** The most coloured runs in one box; a box with more stays plain. */
const MOST_RUNS = 2_000;
const LONG_LINES = 48;
const REPAINT_GROWTH = 1.3;
/** The hidden characters that get their marks at once. Those of the boxes below get them when the page is idle. */
const MARKS_AT_ONCE = 500;

export class CodeBlock {
  element = document.createElement("div");

  #language;
  #code = document.createElement("code");
  #budget;
  #isWithinLine = false;
  #isWrapped = false;
  // {element, text, lines, marks, room for marks, runs: its colours, painted: those shown, isFar: its hidden characters have
  // no marks yet}
  #boxes = [];
  #openLine = null;
  #openText = "";
  #length = 0;
  #lines = 0;
  #askedAt = 0; // the length of the code when colours were last requested
  #isAsking = false;
  #isFinished = false;
  #hasHidden = false;
  #marks = 0;

  /** `budget` limits the nodes that may be made before the reader is near. */
  constructor(language, budget) {
    this.#language = language;
    this.#budget = budget;
    this.element.className = "code";
    this.element.dataset.language = language;
    const pre = document.createElement("pre");
    pre.tabIndex = 0;
    pre.dir = "ltr";
    pre.setAttribute("role", "group");
    pre.setAttribute("aria-label", text.codeIn(nameOf(language)));
    pre.append(this.#code);
    this.element.append(head(language), pre);
  }

  // Actions

  /** Append whole lines, or the rest of the code. */
  append(lines) {
    this.showOpenLine("");
    for (const line of lines.split(/(?<=\n)/)) this.#addLine(line);
    if (!this.#hasHidden && hasHidden(lines)) this.#tellOfHidden();
    this.#length += lines.length;
    if (!this.#isAsking && this.#length > this.#askedAt * REPAINT_GROWTH) void this.#paint();
  }

  /** Show the incomplete last line; the next lines replace it. */
  showOpenLine(line) {
    if (!line && !this.#openLine) return;
    if (!this.#openLine) {
      this.#openLine = document.createElement("span");
      this.#openLine.className = "code-open-line";
      this.#openText = "";
      this.#code.append(this.#openLine);
    }
    if (line !== this.#openText) fill(this.#openLine, shown(line));
    this.#openText = line;
    if (line) return;
    this.#openLine.remove();
    this.#openLine = null;
  }

  /** No more lines follow. Long code is folded, unless the reader has watched it grow. */
  finish({ mayFold = true } = {}) {
    this.showOpenLine("");
    this.#isFinished = true;
    if (!this.#isAsking && this.#askedAt < this.#length) void this.#paint();
    if (isPreviewable(this.#language, this.#length)) this.element.querySelector(".code-tools").prepend(button("preview", text.preview));
    if (mayFold && this.#lines > LONG_LINES) {
      this.element.classList.add("code-folded");
      this.element.append(button("expand", text.showAllLines(this.#lines), { label: text.showAllLines(this.#lines), isWide: true }));
    }
  }

  // Private

  #addLine(line) {
    if (this.#isWithinLine || line.length > LONGEST_BOX_CHARS) this.#wrap();
    for (let from = 0; from < line.length; from += LONGEST_BOX_CHARS) {
      this.#addPiece(line.slice(from, from + LONGEST_BOX_CHARS));
      this.#isWithinLine = true;
    }
    this.#isWithinLine = !line.endsWith("\n");
    if (line.endsWith("\n")) {
      this.#boxes.at(-1).lines += 1;
      this.#lines += 1;
    }
  }

  /** Wraps lines, so that few of those that take several boxes are in view: the browser lays out all that are. */
  #wrap() {
    if (this.#isWrapped) return;
    this.#isWrapped = true;
    this.element.classList.add("code-wrapped");
    this.element.querySelector(".code-tools [data-code=wrap]").remove();
  }

  /** Appends a piece of one line. */
  #addPiece(piece) {
    let box = this.#boxes.at(-1);
    if (!box || this.#isFull(box, piece)) box = this.#addBox();
    box.text += piece;
    if (box.isFar) {
      addText(box.element, piece);
      return;
    }
    const parts = shown(piece, box.room - box.marks);
    for (const part of parts) if (typeof part === "string") addText(box.element, part);
    else box.element.append(part);
    const marks = marksIn(parts);
    box.marks += marks;
    this.#marks += marks;
    this.#budget.spend(2 * marks);
  }

  #isFull({ lines, text: code }, piece) {
    const isSmall = this.#boxes.length <= SMALL_BOXES;
    return lines >= (isSmall ? LINES_PER_BOX : LINES_PER_LARGE_BOX) || code.length + piece.length > LONGEST_BOX_CHARS;
  }

  #addBox() {
    const element = document.createElement("span");
    element.className = "code-lines";
    this.#code.append(element);
    this.#leaveOut(this.#boxes.at(-1));
    // A long line takes several boxes; the first has the marks.
    const room = this.#isWithinLine ? 0 : MOST_MARKS;
    const box = { element, text: "", lines: 0, marks: 0, room, runs: null, painted: "", isFar: this.#budget.isSpent || this.#marks >= MARKS_AT_ONCE };
    this.#boxes.push(box);
    this.#budget.spend(2);
    if (box.isFar) this.#budget.drawSoon(element, () => showMarks(box));
    return box;
  }

  /** Lets the browser skip the layout of a full box outside the viewport. */
  #leaveOut(box) {
    if (!box || (this.#boxes.length < BOXES_LAID_OUT && box.text.length < LONGEST_BOX_CHARS / 2)) return;
    box.element.classList.add("code-lines-far");
    const rows = this.#isWrapped ? Math.ceil(box.text.length / CHARS_PER_ROW) : box.lines;
    box.element.style.containIntrinsicSize = `auto none auto ${LINE_REM * Math.max(1, rows)}rem`;
  }

  #tellOfHidden() {
    this.#hasHidden = true;
    const note = span("code-hidden", text.hasHidden);
    note.title = text.hasHiddenHint;
    this.element.querySelector(".code-language").after(note);
  }

  async #paint() {
    if (!this.#language) return;
    this.#isAsking = true;
    this.#askedAt = this.#length;
    const code = this.#boxes.map((box) => box.text).join("");
    const runs = await highlighted(code, this.#language);
    if (!runs) await this.#colour(null);
    else if (runs.reduce((sum, [, run]) => sum + run.length, 0) === code.length) await this.#colour(runs);
    this.#isAsking = false;
    if (runs && this.#isFinished && this.#askedAt < this.#length) void this.#paint();
  }

  /** `runs` is null for code that has to stay plain. It loses the colours that it had while it was shorter. */
  #colour(runs) {
    const boxes = [...this.#boxes];
    const lists = runs ? splitRuns(runs, boxes.map((box) => box.text.length)) : [];
    return new Promise((done) => {
      runWhenIdle(() => {
        const box = boxes.shift();
        if (box) this.#colourBox(box, lists.shift() ?? null);
        if (boxes.length > 0) return true;
        done();
        return false;
      });
    });
  }

  #colourBox(box, runs) {
    // Colours would split runs of hidden characters into more marks than there is room for.
    const isPlain = !runs || runs.length > MOST_RUNS || (box.marks > 0 && box.marks >= box.room);
    box.runs = isPlain ? null : runs;
    if (isPlain) showPlain(box);
    else if (this.#budget.isSpent) this.#budget.drawSoon(box.element, () => colourBox(box));
    else this.#budget.spend(colourBox(box));
  }
}

/** Removes the colours that a box got while it had fewer characters. */
function showPlain(box) {
  if (!box.painted) return;
  box.painted = "";
  fill(box.element, shown(box.text, box.room));
}

/** Returns the number of nodes it made. The box may have more marks, or no colours any more, since this was planned. */
function colourBox(box) {
  const { runs } = box;
  if (!runs || (box.marks > 0 && box.marks >= box.room)) return 0;
  const painted = JSON.stringify(runs);
  const length = runs.reduce((sum, [, run]) => sum + run.length, 0);
  const isSame = runs.map(([, run]) => run).join("") === box.text.slice(0, length);
  if (painted === box.painted || !isSame) return 0;
  box.painted = painted;
  const nodes = runs.flatMap(([name, run]) => (name ? span(name, run) : shown(run)));
  box.isFar = false;
  fill(box.element, [...nodes, ...shown(box.text.slice(length))]);
  return nodesIn(box.element);
}

function showMarks(box) {
  if (!box.isFar) return 0;
  box.isFar = false;
  const parts = shown(box.text, box.room);
  box.marks = marksIn(parts);
  if (box.marks > 0) fill(box.element, parts);
  return 2 * box.marks;
}

function addText(element, content) {
  if (element.lastChild instanceof Text) element.lastChild.appendData(content);
  else element.append(content);
}

function span(name, content) {
  const element = document.createElement("span");
  element.className = name;
  fill(element, shown(content));
  return element;
}

function head(language) {
  const element = document.createElement("div");
  element.className = "code-head";
  const label = span("code-language", nameOf(language) || text.plainCode);
  const tools = document.createElement("div");
  tools.className = "code-tools";
  tools.append(
    button("wrap", text.wrapLines, { icon: "wrap", isToggle: true }),
    button("download", text.downloadCode, { icon: "download" }),
    button("copy", text.copyCode, { icon: "copy" }),
  );
  element.append(label, tools);
  return element;
}
