// The person's projects: chats that share instructions. The server sends their names with the page, and again
// whenever they change. A chat whose project is not among them is in none.
import { signal } from "../../signals.js";

/** @typedef {{id: string, name: string}} Project */

/**
 * The dialog that is shown: that of a project (null: a new one, for the chat `chat` if given), or that of moving a chat.
 * @typedef {{kind: "edit", project: Project | null, chat?: string | null} | {kind: "move", chat: string}} Shown
 */

const VIEW = "project:";

export class Projects {
  /** By name. */
  all = signal(/** @type {Project[]} */ ([]));
  dialog = signal(/** @type {Shown | null} */ (null));

  /** @param {Project[] | undefined} projects */
  take(projects) {
    if (projects) this.all.value = [...projects].sort((a, b) => a.name.localeCompare(b.name));
  }

  /**
   * Show a project with another name, or a new one, before the server has sent the list.
   * @param {Project} project
   */
  put({ id, name }) {
    this.take([...this.all.peek().filter((one) => one.id !== id), { id, name }]);
  }

  /** @param {string} id */
  drop(id) {
    this.take(this.all.peek().filter((one) => one.id !== id));
  }

  /** @param {string | null | undefined} id */
  get(id) {
    return this.all.value.find((one) => one.id === id) ?? null;
  }

  /** @param {string | null} [chat] the chat that is moved into the new project */
  add(chat = null) {
    this.dialog.value = { kind: "edit", project: null, chat };
  }

  /** @param {Project} project */
  edit(project) {
    this.dialog.value = { kind: "edit", project };
  }

  /** @param {string} chat */
  chooseFor(chat) {
    this.dialog.value = { kind: "move", chat };
  }

  close() {
    this.dialog.value = null;
  }
}

/**
 * The name of the view of the sidebar that shows the chats of a project.
 * @param {string} id
 */
export const viewOf = (id) => `${VIEW}${id}`;

/**
 * The id of the project whose chats a view shows; null for another view.
 * @param {string} view
 */
export const projectOfView = (view) => (view.startsWith(VIEW) ? view.slice(VIEW.length) : null);
