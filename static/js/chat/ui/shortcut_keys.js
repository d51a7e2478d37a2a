import { html, useEffect } from "../../preact.js";
import { actions, available } from "../actions.js";
import { isComposing } from "../lib/input_method.js";
import { isCharacter, isPressed, isTyping, keyNames } from "../lib/shortcuts.js";
import { remember, remembered } from "../lib/storage.js";

const OFF = "single-keys-off";
export const hasSingleKeys = () => !remembered(OFF);
export const setSingleKeys = (isOn) => remember(OFF, isOn ? "" : "yes");

/** Runs the registry's shortcuts wherever the focus is, except while the person types. */
export function useShortcuts(app) {
  useEffect(() => {
    const onKeyDown = (event) => {
      if (event.defaultPrevented || event.repeat || isComposing(event) || document.querySelector("dialog[open], [popover]:popover-open")) return;
      if (event.key === "Escape") app.ui.closeDrawer();
      const action = actionFor(event, app);
      if (!action) return;
      if (event.key !== "Escape") event.preventDefault();
      action.run(app);
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, []);
}

function actionFor(event, app) {
  const typing = isTyping(event);
  const asked = actions.filter(({ keys, inFields }) => {
    if (!keys || (typing && !inFields)) return false;
    if (isCharacter(keys) && !hasSingleKeys()) return false;
    return isPressed(event, keys);
  });
  if (asked.length === 0) return null;
  const possible = new Set(available(app));
  return asked.find((action) => possible.has(action)) ?? null;
}

export function Keys({ keys }) {
  return html`<span class="keys" aria-hidden="true">${keyNames(keys).map((name) => html`<kbd>${name}</kbd>`)}</span>`;
}
