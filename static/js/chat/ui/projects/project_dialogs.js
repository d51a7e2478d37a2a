// The dialogs of projects.
import { html } from "../../../preact.js";
import { MoveDialog } from "./move_dialog.js";
import { ProjectDialog } from "./project_dialog.js";

export function ProjectDialogs({ store }) {
  const shown = store.projects.dialog.value;
  if (!shown) return null;
  if (shown.kind === "move") return html`<${MoveDialog} key=${shown.chat} store=${store} chat=${shown.chat} />`;
  return html`<${ProjectDialog} key=${shown.project?.id ?? "new"} store=${store} project=${shown.project} chat=${shown.chat ?? null} />`;
}
