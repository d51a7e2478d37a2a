// The preview of a block of code: a frame that shows HTML, SVG or a diagram. The frame has an origin of its own and
// no network (chat/web/frame_views.py), and runs only while it answers: a page that is held up is removed.
import { TimeLimit } from "../highlight/time_limit.js";
import { nameOf } from "../highlight/names.js";
import { text } from "../text.js";

/** @type {Record<string, "page" | "diagram">} */
const KINDS = { html: "page", svg: "page", mermaid: "diagram" };
const MOST_CHARS = 200_000;
// Until the frame, with Mermaid, has been loaded.
const LOADED_WITHIN_MS = 20_000;
const ANSWERS_WITHIN_MS = 4_000;
const ASK_EVERY_MS = 1_000;
// Between two answers. The page expects no messages but those of the port.
const MOST_STRAY_MESSAGES = 500;
const LOWEST_PX = 80;
const HIGHEST_PX = 640;

/** @type {WeakMap<HTMLElement, {close: () => void}>} the shown previews, by block */
const shown = new WeakMap();

/**
 * Whether a block of code can be previewed.
 * @param {string} language
 * @param {number} length in characters
 */
export const isPreviewable = (language, length) => Object.hasOwn(KINDS, language.toLowerCase()) && length > 0 && length <= MOST_CHARS;

/**
 * Show the preview of the block instead of its code, or its code again.
 * @param {HTMLElement} block
 * @param {string} code
 * @param {HTMLElement} button
 */
export function togglePreview(block, code, button) {
  const before = shown.get(block);
  if (before) return before.close();
  const language = block.dataset.language ?? "";
  const kind = KINDS[language.toLowerCase()];
  const frame = document.createElement("iframe");
  frame.className = `code-preview code-preview-${kind}`;
  frame.title = text.previewOf(nameOf(language) || language);
  // The headers of the frame say the same; both hold.
  frame.setAttribute("sandbox", "allow-scripts");
  frame.setAttribute("allow", "");
  frame.referrerPolicy = "no-referrer";
  frame.src = `/preview/${kind}`;
  block.querySelector(".code-preview-note")?.remove();
  const watch = new Watch(frame, { code, isDark: isDark() }, (problem) => {
    close();
    block.append(noteOf(problem));
  });
  const close = () => {
    watch.stop();
    frame.remove();
    shown.delete(block);
    block.classList.remove("code-previewed");
    button.textContent = text.preview;
  };
  shown.set(block, { close });
  block.classList.add("code-previewed");
  button.textContent = text.previewCode;
  block.append(frame);
  return undefined;
}

/** Sends the text to the frame, and asks it again and again whether it is alive. */
class Watch {
  #frame;
  #end;
  /** @type {MessagePort | null} */
  #port = null;
  /** @type {TimeLimit} */
  #limit;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #strayMessages = 0;

  /**
   * @param {HTMLIFrameElement} frame
   * @param {{code: string, isDark: boolean}} content
   * @param {(problem: string) => void} end
   */
  constructor(frame, content, end) {
    this.#frame = frame;
    this.#end = end;
    this.#limit = new TimeLimit(LOADED_WITHIN_MS, () => this.#fail(text.previewUnreachable));
    frame.addEventListener("load", () => this.#begin(content), { once: true });
    addEventListener("message", this.#countStray);
  }

  stop() {
    removeEventListener("message", this.#countStray);
    this.#limit.stop();
    clearTimeout(this.#timer);
    this.#port?.close();
  }

  /** @param {{code: string, isDark: boolean}} content */
  #begin(content) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.onmessage = ({ data }) => this.#heard(data);
    // The frame's origin has no name, so the message is addressed to any. It contains only what the frame shows.
    this.#frame.contentWindow?.postMessage(content, "*", [port2]);
    this.#expectAnswer(text.previewUnreachable);
  }

  /** @param {unknown} data */
  #heard(data) {
    const height = Object(data).height;
    if (typeof height === "number") this.#frame.style.height = `${Math.min(HIGHEST_PX, Math.max(LOWEST_PX, height))}px`;
    if (data !== "alive") return;
    this.#strayMessages = 0;
    this.#limit.stop();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#port?.postMessage("alive?");
      this.#expectAnswer(text.previewStopped);
    }, ASK_EVERY_MS);
  }

  /**
   * A frame that sends messages without end delays everything else on the page.
   * @param {MessageEvent} event
   */
  #countStray = ({ source }) => {
    if (source !== this.#frame.contentWindow) return;
    this.#strayMessages += 1;
    if (this.#strayMessages > MOST_STRAY_MESSAGES) this.#fail(text.previewFlooded);
  };

  /** @param {string} problem */
  #expectAnswer(problem) {
    this.#limit.stop();
    this.#limit = new TimeLimit(ANSWERS_WITHIN_MS, () => this.#fail(problem));
  }

  /** @param {string} problem */
  #fail(problem) {
    this.stop();
    this.#end(problem);
  }
}


const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

/** @param {string} problem */
function noteOf(problem) {
  const note = document.createElement("p");
  note.className = "code-preview-note";
  note.setAttribute("role", "status");
  note.textContent = problem;
  return note;
}
