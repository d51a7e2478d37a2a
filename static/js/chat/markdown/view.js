// A markdown text on screen that grows. Finished blocks are drawn once and left alone; only the
// last, still open block is drawn again, and an open code block only gets its new lines appended:
// one more token costs the same in a long answer as in a short one. The end gets a full pass.
import { blocksOf, renderBlock } from "./render.js";
import { codeUntil, finalCount, openFence } from "./stream.js";

const BLOCKS_PER_PART = 32;
const LINES_PER_BOX = 50;

export class MarkdownView {
  #root;
  #drawn = []; // final blocks: {raw, element}
  #open = []; // elements of the blocks that may still change
  #offset = 0; // how much of the text the final blocks hold
  #links = {};
  #fence = null; // {mark, code, lines, until}: an open code block
  #done = null; // the text of the last full pass

  constructor(root) {
    this.#root = root;
  }

  /** Show `source`, which starts with what was shown before unless `isDone`. */
  update(source, isDone) {
    if (isDone) this.#drawAll(source);
    else this.#drawTail(source);
  }

  #drawAll(source) {
    if (this.#done === source) return;
    const blocks = blocksOf(source).filter((token) => token.type !== "space");
    this.#clearOpen();
    const kept = [];
    blocks.forEach((token, index) => {
      const before = this.#drawn[index];
      // Links may have been defined after they were used: such a block is not the same any more.
      const isSame = before && before.raw === token.raw && !token.raw.includes("[");
      const element = isSame ? before.element : this.#element(token);
      if (!isSame && before) before.element.replaceWith(element);
      else if (!isSame) this.#place(element);
      kept.push({ raw: token.raw, element });
    });
    for (const { element } of this.#drawn.slice(blocks.length)) element.remove();
    this.#drawn = kept;
    this.#done = source;
    this.#offset = source.length;
  }

  #drawTail(source) {
    if (this.#done !== null) this.#restart();
    if (source.length < this.#offset) this.#restart();
    if (this.#fence && this.#appendCode(source)) return;
    this.#clearOpen();
    const tail = source.slice(this.#offset);
    const tokens = blocksOf(tail, this.#links);
    const final = finalCount(tokens);
    tokens.forEach((token, index) => {
      if (index < final) this.#offset += token.raw.length;
      if (token.type === "space") return;
      const element = this.#element(token);
      if (index < final) {
        this.#place(element);
        this.#drawn.push({ raw: token.raw, element });
      } else {
        this.#root.append(element);
        this.#open.push(element);
      }
    });
    this.#followFence(source);
  }

  /** If all that is open is one unclosed code block, from now on append to it. */
  #followFence(source) {
    const fence = this.#open.length === 1 ? openFence(source.slice(this.#offset, this.#offset + 200)) : null;
    const code = fence && this.#open[0].querySelector("code");
    if (!code) return;
    const start = this.#offset + fence.start;
    const { until, isClosed } = codeUntil(source, start, fence.mark);
    if (isClosed) return;
    code.replaceChildren();
    this.#fence = { mark: fence.mark, code, lines: 0, until: start };
    this.#addCode(source.slice(start, until));
    this.#fence.until = until;
  }

  #appendCode(source) {
    const { until, isClosed } = codeUntil(source, this.#fence.until, this.#fence.mark);
    if (isClosed) return false;
    if (until > this.#fence.until) {
      this.#addCode(source.slice(this.#fence.until, until));
      this.#fence.until = until;
    }
    return true;
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

  /** New lines go into boxes of their own, so that the browser need not lay out the old ones again. */
  #addCode(lines) {
    if (!lines) return;
    let box = this.#fence.code.lastElementChild;
    if (!box || this.#fence.lines >= LINES_PER_BOX) {
      box = document.createElement("span");
      box.className = "code-lines";
      this.#fence.code.append(box);
      this.#fence.lines = 0;
    }
    box.append(lines);
    this.#fence.lines += lines.split("\n").length - 1;
  }

  #element(token) {
    const element = document.createElement("div");
    element.className = token.type === "heading" ? "md-block md-heading" : "md-block";
    element.append(renderBlock(token));
    return element;
  }

  #clearOpen() {
    for (const element of this.#open) element.remove();
    this.#open = [];
    this.#fence = null;
  }

  #restart() {
    this.#root.replaceChildren();
    this.#drawn = [];
    this.#open = [];
    this.#offset = 0;
    this.#links = {};
    this.#fence = null;
    this.#done = null;
  }
}
