import { html, useState } from "../../../preact.js";
import { actions } from "../../actions.js";
import { spoken } from "../../lib/format.js";
import { keyNames } from "../../lib/shortcuts.js";
import { text } from "../../text.js";
import { Dialog } from "./dialog.js";
import { Icon } from "../icons.js";
import { Keys, hasSingleKeys, setSingleKeys } from "../shortcut_keys.js";

const own = spoken("sheet", {
  choosePrompt: "Choose a saved prompt, at the start of a message",
  moveInActions: "Move among the actions of a message",
});
const GROUPS = ["chat", "find", "go"];

/** The list of all shortcuts in the registry. */
export function ShortcutSheet({ close }) {
  const [isOn, setOn] = useState(hasSingleKeys());
  const toggle = (event) => {
    setSingleKeys(event.currentTarget.checked);
    setOn(event.currentTarget.checked);
  };
  return html`<${Dialog} label=${text.shortcuts} kind="sheet" close=${close}>
    <header class="sheet-head"><h2>${text.shortcuts}</h2>
      <button type="button" class="quiet-button" aria-label=${text.close} onClick=${close}><${Icon} name="close" /></button></header>
    <div class="sheet-groups" tabindex="0">
      ${GROUPS.map((group) => html`<section key=${group}><h3>${text.shortcutGroups[group]}</h3>
        <dl>${rows(group).map(([label, ...keys]) => html`<div key=${label}><dt>${label}</dt><dd>${keys.map(Combination)}</dd></div>`)}</dl>
      </section>`)}
    </div>
    <label class="sheet-switch"><input type="checkbox" checked=${isOn} onChange=${toggle} />${text.singleKeys}</label>
  </${Dialog}>`;
}

const Combination = (keys) => html`<${Keys} keys=${keys} /><span class="visually-hidden">${keyNames(keys).join(" + ")} </span>`;

function rows(group) {
  const found = actions.filter((action) => action.keys && action.group === group).map((action) => [action.label(), action.keys]);
  return group === "chat" ? [[text.sendMessage, "Enter"], [text.newLine, "shift+Enter"], [own.choosePrompt, "/"], ...found, [own.moveInActions, "ArrowLeft", "ArrowRight"]] : found;
}
