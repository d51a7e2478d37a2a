import { copyText } from "../../../lib/copying.js";
import { text } from "../../../text.js";

const SHOWN_MS = 1_600;
const BUBBLE_PX = 32;
const LETTER_PX = 8;

/**
 * Copies, and shows the result on the button for a moment.
 * @param {HTMLElement} button
 * @param {string} content
 * @param {string} [label]
 * @param {string | null} [rich] see copyText
 */
export async function copyFrom(button, content, label = button.textContent ?? "", rich = null) {
  const outcome = (await copyText(content, rich)) ? text.copied : text.copyFailed;
  placeBubble(button, outcome.length * LETTER_PX + 16);
  button.dataset.said = outcome;
  button.setAttribute("aria-label", outcome);
  setTimeout(() => {
    delete button.dataset.said;
    button.setAttribute("aria-label", label);
  }, SHOWN_MS);
}

/**
 * Where the result of the click is shown: above the button and centred, unless it would be cut off there.
 * @param {HTMLElement} button
 * @param {number} width
 */
function placeBubble(button, width) {
  const at = button.getBoundingClientRect();
  const column = (button.closest(".group") ?? document.documentElement).getBoundingClientRect();
  const top = Math.max(0, button.closest(".scroller")?.getBoundingClientRect().top ?? 0);
  const middle = (at.left + at.right) / 2;
  button.classList.toggle("said-below", at.top - top < BUBBLE_PX);
  button.classList.toggle("said-leftwards", middle + width / 2 > column.right);
  button.classList.toggle("said-rightwards", middle - width / 2 < column.left);
}
