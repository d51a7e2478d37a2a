import { copyText } from "../../lib/copying.js";
import { text } from "../../text.js";

const SHOWN_MS = 1_600;

/**
 * Copies, and shows the result on the button for a moment.
 * @param {HTMLElement} button
 * @param {string} content
 */
export async function copyFrom(button, content, label = button.textContent ?? "") {
  const outcome = (await copyText(content)) ? text.copied : text.copyFailed;
  button.dataset.said = outcome;
  button.setAttribute("aria-label", outcome);
  setTimeout(() => {
    delete button.dataset.said;
    button.setAttribute("aria-label", label);
  }, SHOWN_MS);
}
