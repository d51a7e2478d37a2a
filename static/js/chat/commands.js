// Commands to the server other than sends. Each is shown at once, and undone if it finally fails.
import { repeatUntilAnswered } from "./api.js";
import { OrderedTasks } from "./lib/ordered_tasks.js";

const TRIES = 5;

export class Commands {
  #wake;
  #complain;
  #ordered = new OrderedTasks();

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

  /**
   * Run a command after the earlier ones of the same key, so that the last one wins on the server too.
   * @param {string} key such as the id of the chat that they change
   */
  runInOrder(key, order, takeBack) {
    return this.#ordered.run(key, () => this.run(order, takeBack));
  }

  /** The page may be closed now: send the commands that wait for an earlier one. */
  putAway() {
    this.#ordered.startAll();
  }

  /** Repeat a request until the server has answered. The wait between tries ends when the network is back. */
  ask(order, { tries = Infinity } = {}) {
    return repeatUntilAnswered(order, { wake: this.#wake, tries });
  }
}
