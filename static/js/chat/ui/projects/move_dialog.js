// The dialog in which a chat is moved into a project, or out of one. A choice is carried out at once.
import { html, useId } from "../../../preact.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";
import { Modal } from "../dialogs/modal.js";
import { own } from "./texts.js";

export function MoveDialog({ store, chat }) {
  const id = useId();
  const { projects, finding, list } = store;
  const row = list.get(chat);
  const current = projects.get(row?.project)?.id ?? null;
  const choose = (project) => {
    projects.close();
    if (project !== current) void finding.moveTo(chat, project);
  };
  const all = projects.all.value;
  const option = (project, name) => html`<li key=${project}><button type="button" class="row-menu-item" aria-current=${project === current ? "true" : undefined}
    data-first=${project === current || undefined} onClick=${() => choose(project)}><${Icon} name=${project === current ? "check" : "folder"} />
    <span class="chat-title" dir="auto">${name}</span></button></li>`;
  return html`<${Modal} labelledBy=${`${id}-title`} close=${() => projects.close()}>
    <h2 id=${`${id}-title`} class="dialog-name">${own.moveTitle(row?.title || text.untitled)}</h2>
    ${all.length === 0
      ? html`<p class="meta">${own.none} ${own.about}</p>`
      : html`<ul class="dialog-list">${option(null, own.noProject)}${all.map((project) => option(project.id, project.name))}</ul>`}
    <div class="form-row dialog-actions">
      <button type="button" class="button dialog-aside" onClick=${() => projects.add(chat)}><${Icon} name="plus" />${own.add}</button>
      <button type="button" class="button" onClick=${() => projects.close()}>${text.cancel}</button>
    </div>
  </${Modal}>`;
}
