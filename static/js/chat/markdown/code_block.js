// A block of code on screen: its language, what can be done with it, and its lines. Lines are only
// ever appended, into boxes of their own, so that the browser need not lay out the old ones again;
// colours come later, from a worker, box by box.
import { highlighted } from "../highlight/client.js";
import { nameOf } from "../highlight/names.js";
import { splitRuns } from "../highlight/runs.js";
import { later } from "../slices.js";
import { text } from "../text.js";
import { button } from "./code_tools.js";
import { fill, hasHidden, marksIn, MOST_MARKS, shown } from "./hidden.js";

const LINES_PER_BOX = 40;
const LONG_LINES = 48;
const REPAINT_GROWTH = 1.3;

export class CodeBlock {
  element = document.createElement("div");

  #language;
  #code = document.createElement("code");
  #boxes = []; // {element, text, lines, marks, painted}
  #openLine = null;
  #openText = "";
  #length = 0;
  #lines = 0;
  #askedAt = 0; // how long the code was when colours were last asked for
  #isAsking = false;
  #isFinished = false;
  #hasHidden = false;

  constructor(language) {
    this.#language = language;
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

  /** Whole lines, or the rest of the code. */
  append(lines) {
    this.showOpenLine("");
    for (const line of lines.split(/(?<=\n)/)) this.#addLine(line);
    if (!this.#hasHidden && hasHidden(lines)) this.#tellOfHidden();
    this.#length += lines.length;
    if (!this.#isAsking && this.#length > this.#askedAt * REPAINT_GROWTH) this.#paint();
  }

  /** The last line while it is being written; the next lines replace it. */
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

  /** No more lines come. One that is long and was not watched growing is folded. */
  finish({ mayFold = true } = {}) {
    this.showOpenLine("");
    this.#isFinished = true;
    if (!this.#isAsking && this.#askedAt < this.#length) this.#paint();
    if (mayFold && this.#lines > LONG_LINES) {
      this.element.classList.add("code-folded");
      this.element.append(button("expand", text.showAllLines(this.#lines), { label: text.showAllLines(this.#lines), isWide: true }));
    }
  }

  // Private

  #addLine(line) {
    let box = this.#boxes.at(-1);
    if (!box || box.lines >= LINES_PER_BOX) {
      const element = document.createElement("span");
      element.className = "code-lines";
      this.#code.append(element);
      box = { element, text: "", lines: 0, marks: 0, painted: "" };
      this.#boxes.push(box);
    }
    const parts = shown(line, MOST_MARKS - box.marks);
    for (const part of parts) box.element.append(part);
    box.marks += marksIn(parts);
    box.text += line;
    box.lines += 1;
    this.#lines += 1;
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
    if (runs && runs.reduce((sum, [, run]) => sum + run.length, 0) === code.length) await this.#colour(runs);
    this.#isAsking = false;
    if (runs && this.#isFinished && this.#askedAt < this.#length) this.#paint();
  }

  #colour(runs) {
    const boxes = [...this.#boxes];
    const lists = splitRuns(runs, boxes.map((box) => box.text.length));
    return new Promise((done) => {
      later(() => {
        const box = boxes.shift();
        if (box) colourBox(box, lists.shift());
        if (boxes.length > 0) return true;
        done();
        return false;
      });
    });
  }
}

function colourBox(box, runs) {
  const painted = JSON.stringify(runs);
  const length = runs.reduce((sum, [, run]) => sum + run.length, 0);
  const isSame = runs.map(([, run]) => run).join("") === box.text.slice(0, length);
  // Colours would cut what is hidden into more marks than there is room for.
  if (painted === box.painted || !isSame || box.marks >= MOST_MARKS) return;
  box.painted = painted;
  const nodes = runs.flatMap(([name, run]) => (name ? span(name, run) : shown(run)));
  fill(box.element, [...nodes, ...shown(box.text.slice(length))]);
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
