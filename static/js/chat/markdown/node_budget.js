// How many nodes a text may have before the reader comes near them. Once they are spent, what is
// drawn further waits until it is nearly in view.
import { whenNear } from "../lib/viewport_observer.js";
import { later } from "../lib/idle_tasks.js";

const MOST_NODES = 8_000;
const RESERVE_NODES = 9_000;

export class NodeBudget {
  #scroller;
  #left;

  /** `scroller`: the element that scrolls the text; without one all of it counts as near. */
  constructor(scroller, nodes = MOST_NODES) {
    this.#scroller = scroller;
    this.#left = nodes;
  }

  get isSpent() {
    return this.#left <= 0 && this.#scroller !== null;
  }

  /** Whether there are some left for what goes on with a thing that is drawn already. */
  get hasReserve() {
    return this.#left > -RESERVE_NODES;
  }

  spend(nodes) {
    this.#left -= nodes;
  }

  /** Call `draw`, which gives the number of nodes it has made: soon, or when `element` is near. */
  drawSoon(element, draw) {
    later(() => {
      if (this.isSpent) whenNear(element, this.#scroller, draw);
      else this.spend(draw());
    });
  }
}

/** About how many nodes `element` has within. */
export const nodesIn = (element) => 2 * element.getElementsByTagName("*").length + 2;
