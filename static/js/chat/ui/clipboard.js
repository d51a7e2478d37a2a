import { text } from "../text.js";

const SHOWN_MS = 1_600;

/** Copy and say so on the button itself for a moment. */
export async function copyFrom(button, content, label = button.textContent) {
  let outcome = text.copied;
  try {
    await navigator.clipboard.writeText(content);
  } catch {
    outcome = text.copyFailed;
  }
  button.dataset.said = outcome;
  button.setAttribute("aria-label", outcome);
  setTimeout(() => {
    delete button.dataset.said;
    button.setAttribute("aria-label", label);
  }, SHOWN_MS);
}
