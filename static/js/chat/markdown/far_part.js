// Shows blocks that are far from the reader as plain text, which the browser's search finds. They are
// drawn, a few at a time, when the reader comes near.
import { onceNearViewport } from "../lib/viewport_observer.js";
import { roughHeight } from "../lib/plain_text.js";
import { runWhenIdle } from "../lib/idle_tasks.js";

const LONGEST_CHARS = 4_000;
const SLICE_MS = 8;

export class FarPart {
  element = document.createElement("div");

  #text = document.createTextNode("");
  #waiting = []; // parts that are not drawn yet
  #chars = 0;
  #draw;
  #isNear = false;
  #isDrawing = false;

  /** `draw` is called with each added part and the element to draw it into. */
  constructor(scroller, draw) {
    this.#draw = draw;
    this.element.className = "md-part md-far";
    this.element.append(this.#text);
    // Observe it only once it is on the page.
    runWhenIdle(() => onceNearViewport(this.element, scroller, () => this.#drawNow()));
  }

  get isFull() {
    return this.#chars >= LONGEST_CHARS;
  }

  add(one, raw) {
    this.#waiting.push(one);
    this.#chars += raw.length;
    if (this.#isNear) this.#drawNow();
    else {
      this.#text.appendData(raw);
      this.element.style.containIntrinsicSize = `auto none auto ${roughHeight(this.#text.data)}px`;
    }
  }

  #drawNow() {
    this.#isNear = true;
    this.#text.remove();
    this.element.classList.remove("md-far");
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    runWhenIdle(() => {
      const untilMs = performance.now() + SLICE_MS;
      while (this.#waiting.length > 0 && performance.now() < untilMs) this.#draw(this.#waiting.shift(), this.element);
      this.#isDrawing = this.#waiting.length > 0;
      return this.#isDrawing;
    });
  }
}
