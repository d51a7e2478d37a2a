import { copyText } from "../../lib/copying.js";
import { text } from "../../text.js";

const SHOWN_MS = 1_600;

/** Copy and say so on the button itself for a moment. */
export async function copyFrom(button, content, label = button.textContent) {
  const outcome = (await copyText(content)) ? text.copied : text.copyFailed;
  button.dataset.said = outcome;
  button.setAttribute("aria-label", outcome);
  setTimeout(() => {
    delete button.dataset.said;
    button.setAttribute("aria-label", label);
  }, SHOWN_MS);
}
