// Marks the sentence that is spoken, in browsers that can mark text without changing the page.
import { msAt, placesOf } from "./places.js";

const NAME = "spoken";
// What is not read aloud.
const SKIPPED = "pre, table, button, .katex, .visually-hidden";

export class Marks {
  #id;
  #sentences;
  /** @type {{node: Text, start: number}[]} */
  #nodes = [];
  /** @type {([number, number] | null)[]} */
  #places = [];

  /**
   * @param {string} id of the message
   * @param {string[]} sentences
   */
  constructor(id, sentences) {
    this.#id = id;
    this.#sentences = sentences;
  }

  /** @param {number} number of the sentence; -1 for none */
  show(number) {
    if (!globalThis.CSS?.highlights || !globalThis.Highlight) return;
    this.clear();
    const range = number < 0 ? null : this.#rangeOf(number);
    if (range) CSS.highlights.set(NAME, new Highlight(range));
  }

  clear() {
    globalThis.CSS?.highlights?.delete(NAME);
  }

  /**
   * When the word at an offset of a node is spoken, in ms; null for one that is not read aloud.
   * @param {number[][]} spans
   * @param {Node} node
   * @param {number} offset
   */
  msAt(spans, node, offset) {
    this.#refresh();
    const found = this.#nodes.find((one) => one.node === node);
    return found ? msAt(spans, this.#places, found.start + offset) : null;
  }

  #refresh() {
    // Parts of a long text are drawn again while somebody scrolls.
    if (this.#nodes.length === 0 || this.#nodes.some(({ node }) => !node.isConnected)) this.#find();
  }

  /** @param {number} number */
  #rangeOf(number) {
    this.#refresh();
    const place = this.#places[number];
    if (!place) return null;
    const range = new Range();
    const [first, last] = [this.#nodeAt(place[0]), this.#nodeAt(place[1] - 1)];
    range.setStart(first.node, place[0] - first.start);
    range.setEnd(last.node, place[1] - last.start);
    return range;
  }

  #find() {
    const root = document.getElementById(`m-${this.#id}`)?.querySelector(":scope > .md");
    this.#nodes = [];
    let text = "";
    for (const node of root ? textNodesOf(root) : []) {
      this.#nodes.push({ node, start: text.length });
      text += node.data;
    }
    this.#places = placesOf(this.#sentences, text);
  }

  /** @param {number} place */
  #nodeAt(place) {
    return /** @type {{node: Text, start: number}} */ (this.#nodes.findLast(({ start }) => start <= place));
  }
}

/**
 * @param {Element} root
 * @returns {Iterable<Text>}
 */
function* textNodesOf(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) =>
    node instanceof Element && node.matches(SKIPPED) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
  );
  while (walker.nextNode()) if (walker.currentNode instanceof Text) yield walker.currentNode;
}
