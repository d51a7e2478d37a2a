// Commands to the server other than a send: shown at once, and undone when they fail for good.
import { repeatUntilAnswered } from "./api.js";

const TRIES = 5;

export class Commands {
  #wake;
  #complain;

  constructor(wake, complain) {
    this.#wake = wake;
    this.#complain = complain;
  }

  /** Carry out an order; when it fails for good, undo what was shown and say why. */
  async run(order, takeBack = () => {}) {
    try {
      await this.ask(order, { tries: TRIES });
    } catch (error) {
      takeBack();
      this.#complain(error);
    }
  }

  /** Ask until the server has answered; ends waiting when the network is back. */
  ask(order, { tries = Infinity } = {}) {
    return repeatUntilAnswered(order, { wake: this.#wake, tries });
  }
}
