// The dialog of a project: its name and instructions, and how to delete it.
import { html, useEffect, useId, useRef, useState } from "../../../preact.js";
import { api } from "../../api.js";
import { uuid7 } from "../../lib/ids.js";
import { isComposing } from "../../lib/input_method.js";
import { viewOf } from "../../list/projects.js";
import { text } from "../../text.js";
import { Modal } from "../dialogs/modal.js";
import { own } from "./texts.js";

const MAX_NAME = 100;
const MAX_CHARS = 20_000;
const TRIES = 5;
const NOTHING = { name: "", instructions: "" };

/** @param project {id, name}; null for a new one @param chat the chat that is moved into the new project */
export function ProjectDialog({ store, project, chat }) {
  const [isRemoving, setRemoving] = useState(false);
  if (isRemoving) return html`<${RemoveForm} store=${store} project=${project} back=${() => setRemoving(false)} />`;
  return html`<${EditForm} store=${store} project=${project} chat=${chat} remove=${() => setRemoving(true)} />`;
}

function EditForm({ store, project, chat, remove }) {
  const id = useId();
  const newId = useRef(null);
  const name = useRef(null);
  const field = useRef(null);
  const [saved, setSaved] = useState(project ? null : NOTHING);
  const [count, setCount] = useState(0);
  const { problem, setProblem, isBusy, run } = useRequest(store);
  useEffect(() => {
    if (project) void run(async (ask) => setSaved((await ask(() => api.project(project.id))).project));
  }, []);
  useEffect(() => {
    if (!saved) return;
    name.current.focus();
    setCount(saved.instructions.length);
  }, [saved]);
  const put = (fields) =>
    run(async (ask) => {
      newId.current ??= uuid7();
      const body = { id: newId.current, ...fields, person: store.user.peek()?.id };
      const { project: done } = await ask(() => (project ? api.changeProject(project.id, fields) : api.addProject(body)));
      store.projects.put(done);
      store.projects.close();
      if (!project) begin(store, done, chat);
    });
  const written = () => ({ name: name.current.value.trim(), instructions: field.current.value.trim() });
  const isTooLong = count > MAX_CHARS;
  const save = () => {
    if (!saved || isBusy || isTooLong) return;
    if (written().name) void put(written());
    else (name.current.focus(), setProblem(own.nameMissing));
  };
  const isDirty = () => saved !== null && (name.current.value !== saved.name || field.current.value !== saved.instructions);
  const described = `${id}-help ${id}-problem`;
  return html`<${Modal} labelledBy=${`${id}-title`} close=${() => store.projects.close()} isDirty=${isDirty} onSubmit=${save}>
    <h2 id=${`${id}-title`}>${project ? own.edit : own.add}</h2>
    ${!project && html`<p class="meta">${own.about}</p>`}
    <${Fields} key=${saved ? "there" : "awaited"} id=${id} saved=${saved} name=${name} field=${field} described=${described} isTooLong=${isTooLong} setCount=${setCount} save=${save} />
    <p class="meta" id=${`${id}-help`}>${own.help}</p>
    <p class="form-error" id=${`${id}-problem`} role="alert">${isTooLong ? own.tooLong(count, MAX_CHARS) : problem}</p>
    <div class="form-row dialog-actions">
      ${project && html`<button type="button" class="button button-danger dialog-aside" onClick=${remove}>${own.remove}</button>`}
      <button type="button" class="button" onClick=${() => store.projects.close()}>${text.cancel}</button>
      <button type="submit" class="button button-primary" disabled=${!saved || isBusy || isTooLong}>${project ? text.save : own.create}</button>
    </div>
  </${Modal}>`;
}

/** @param saved what is stored; null while it is fetched */
function Fields({ id, saved, name, field, described, isTooLong, setCount, save }) {
  const onKeyDown = (event) => {
    if (event.key !== "Enter" || isComposing(event) || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    save();
  };
  const { name: title, instructions } = saved ?? NOTHING;
  return html`<label class="label" for=${`${id}-name`}>${own.name}</label>
    <input class="field" id=${`${id}-name`} type="text" maxlength=${MAX_NAME} dir="auto" autocomplete="off" ref=${name} data-first
      aria-describedby=${`${id}-problem`} disabled=${!saved} defaultValue=${title} />
    <label class="label" for=${`${id}-text`}>${own.instructions}</label>
    <textarea class="field dialog-text" id=${`${id}-text`} rows="8" dir="auto" ref=${field} aria-describedby=${described} aria-invalid=${isTooLong}
      disabled=${!saved} defaultValue=${instructions} onInput=${(event) => setCount(event.currentTarget.value.trim().length)} onKeyDown=${onKeyDown}></textarea>`;
}

/** A new project shows its chats: none yet, or the one for which it was made. */
function begin(store, project, chat) {
  store.finding.show(viewOf(project.id));
  if (chat) void store.finding.moveTo(chat, project.id);
  else store.openNew(false, project.id);
}

function RemoveForm({ store, project, back }) {
  const id = useId();
  const [withChats, setWithChats] = useState(false);
  const { problem, isBusy, run } = useRequest(store);
  const remove = () =>
    void run(async (ask) => {
      while ((await ask(() => api.removeProject(project.id, withChats))).left > 0);
      store.projects.drop(project.id);
      store.projects.close();
    });
  const option = (isChosen, value, label) => html`<label class="dialog-option"><input type="radio" name=${id} checked=${isChosen} data-first=${isChosen}
    onChange=${() => setWithChats(value)} />${label}</label>`;
  return html`<${Modal} labelledBy=${`${id}-title`} close=${() => store.projects.close()} onSubmit=${() => isBusy || remove()}>
    <h2 id=${`${id}-title`}>${own.removeTitle(project.name)}</h2>
    <p class="meta">${own.removeNote}</p>
    <div role="radiogroup" aria-labelledby=${`${id}-title`}>
      ${option(!withChats, false, own.keepChats)}
      ${option(withChats, true, own.removeChats)}
    </div>
    <p class="form-error" role="alert">${problem}</p>
    <div class="form-row dialog-actions">
      <button type="button" class="button" onClick=${back}>${text.cancel}</button>
      <button type="submit" class="button button-primary button-danger" disabled=${isBusy}>${own.confirm}</button>
    </div>
  </${Modal}>`;
}

/** Requests whose refusal is shown in the dialog. */
function useRequest(store) {
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const run = async (task) => {
    setBusy(true);
    setProblem("");
    try {
      await task((order) => store.commands.ask(order, { tries: TRIES }));
    } catch (error) {
      setProblem(error.message);
    }
    setBusy(false);
  };
  return { problem, setProblem, isBusy, run };
}
