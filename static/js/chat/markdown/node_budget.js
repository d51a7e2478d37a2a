// The number of nodes that a text may have at once. When they are spent, the rest is drawn only when the
// reader comes near.
import { onceNearViewport } from "../lib/viewport_observer.js";
import { runWhenIdle } from "../lib/idle_tasks.js";

const MOST_NODES = 8_000;
const RESERVE_NODES = 9_000;

export class NodeBudget {
  #scroller;
  #left;

  /**
   * `scroller` is the element that scrolls the text. Without one, all of the text counts as near.
   * @param {HTMLElement | null} scroller
   */
  constructor(scroller, nodes = MOST_NODES) {
    this.#scroller = scroller;
    this.#left = nodes;
  }

  get isSpent() {
    return this.#left <= 0 && this.#scroller !== null;
  }

  /** Whether nodes are left to continue a block that is partly drawn. */
  get hasReserve() {
    return this.#left > -RESERVE_NODES;
  }

  /** @param {number} nodes */
  spend(nodes) {
    this.#left -= nodes;
  }

  /**
   * Call `draw`, which returns the number of nodes it made, soon or when the reader is near `element`.
   * @param {Element} element
   * @param {() => number} draw
   */
  drawSoon(element, draw) {
    runWhenIdle(() => {
      if (this.#scroller && this.isSpent) onceNearViewport(element, this.#scroller, draw);
      else this.spend(draw());
    });
  }
}

/**
 * About how many nodes `element` contains.
 * @param {Element} element
 */
export const nodesIn = (element) => 2 * element.getElementsByTagName("*").length + 2;
