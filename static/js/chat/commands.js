// Commands to the server other than sends. Each is shown at once, and undone if it finally fails.
import { repeatUntilAnswered } from "./api.js";

const TRIES = 5;

export class Commands {
  #wake;
  #complain;

  constructor(wake, complain) {
    this.#wake = wake;
    this.#complain = complain;
  }

  /** Run a command. If it finally fails, undo what was shown and report the error. */
  async run(order, takeBack = () => {}) {
    try {
      await this.ask(order, { tries: TRIES });
    } catch (error) {
      takeBack();
      this.#complain(error);
    }
  }

  /** Repeat a request until the server has answered. The wait between tries ends when the network is back. */
  ask(order, { tries = Infinity } = {}) {
    return repeatUntilAnswered(order, { wake: this.#wake, tries });
  }
}
