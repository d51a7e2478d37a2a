// The projects above the list of chats, and the head of the list of one project's chats.
import { html } from "../../../preact.js";
import { addressOf } from "../../address.js";
import { viewOf } from "../../list/projects.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";

export function ProjectRows({ store }) {
  const { finding, projects } = store;
  if (projects.all.value.length === 0) return null;
  return html`<section class="projects">
    <div class="projects-head"><h2>${text.projects}</h2>
      <button type="button" class="quiet-button" aria-label=${text.newProject} title=${text.newProject} aria-haspopup="dialog" onClick=${() => projects.add()}>
        <${Icon} name="plus" /></button></div>
    <ul>${projects.all.value.map(({ id, name }) => html`<li key=${id}>
      <button type="button" class="project-link" title=${name} onClick=${() => finding.show(viewOf(id))}><${Icon} name="folder" />
        <span class="chat-title" dir="auto">${name}</span></button></li>`)}</ul>
  </section>`;
}

/** The way back, the name, and the way to change it. */
export function ProjectHead({ store, project }) {
  return html`<h2 class="chat-title" dir="auto">${project.name}</h2>
    <button type="button" class="quiet-button" aria-label=${text.editProject(project.name)} title=${text.editProject(project.name)} aria-haspopup="dialog"
      onClick=${() => store.projects.edit(project)}><${Icon} name="pencil" /></button>`;
}

/** The link to a new chat, in the project whose chats are listed. */
export function NewChat({ project, go }) {
  const id = project?.id ?? null;
  return html`<a class="new-chat" href=${addressOf(null, { project: id })} aria-label=${project ? text.newChatInProject : undefined}
    onClick=${(event) => go(event, null, id)}><${Icon} name="plus" />${text.newChat}</a>`;
}

/** The project of the chat on screen, before its title. */
export function ProjectOfChat({ store, ui }) {
  const project = store.projectShown.value;
  if (!project) return null;
  return html`<button type="button" class="topbar-project" title=${text.showProject(project.name)} aria-label=${text.showProject(project.name)}
    onClick=${() => ui.showList(viewOf(project.id))}><${Icon} name="folder" /><span dir="auto">${project.name}</span></button>`;
}
