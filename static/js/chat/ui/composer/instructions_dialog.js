// The dialog for the instructions that the model gets in this chat. The module is loaded when the dialog is
// first opened. Saved instructions reach every device through the log and apply from the next answer on.
import { html, useEffect, useId, useRef, useState } from "../../../preact.js";
import { api } from "../../api.js";
import { spoken } from "../../lib/format.js";
import { isComposing } from "../../lib/input_method.js";
import { text } from "../../text.js";

const MAX_CHARS = 4_000;
const TRIES = 5;

// These texts are not in text.js, because they are loaded only when they are needed.
const own = spoken("instructions", {
  title: "Instructions for this chat",
  help: "The model is told this in this chat, from the next answer on; after what you tell every model.",
  ofPerson: "Instructions for all chats",
  example: "Answer in French, and correct my mistakes.",
  tooLong: { one: "{count} character; at most {limit} can be kept.", other: "{count} characters; at most {limit} can be kept." },
});

export function InstructionsDialog({ store, chat, current, close }) {
  const id = useId();
  const dialog = useRef(null);
  const field = useRef(null);
  const [count, setCount] = useState(current.length);
  const [problem, setProblem] = useState("");
  const [isSaving, setSaving] = useState(false);
  const shown = useRef(current);
  useEffect(() => {
    dialog.current.showModal();
    field.current.focus();
    field.current.setSelectionRange(current.length, current.length);
  }, []);
  // The instructions changed on another device: show them, unless the person has edited the text meanwhile.
  useEffect(() => {
    if (field.current.value !== shown.current) return;
    field.current.value = shown.current = current;
    setCount(current.length);
  }, [current]);
  const save = async (event) => {
    event?.preventDefault();
    if (isSaving || count > MAX_CHARS) return;
    setSaving(true);
    setProblem("");
    try {
      const instructions = field.current.value.trim();
      await store.commands.ask(() => api.instruct(chat, instructions), { tries: TRIES });
      dialog.current?.close();
    } catch (error) {
      setProblem(error.message);
      setSaving(false);
    }
  };
  const onKeyDown = (event) => {
    // Escape closes this, and must not also stop an answer.
    event.stopPropagation();
    if (event.key === "Enter" && !isComposing(event) && (event.ctrlKey || event.metaKey)) void save(event);
  };
  const onClick = (event) => event.target === dialog.current && field.current.value === shown.current && dialog.current.close();
  return html`<dialog class="dialog" ref=${dialog} aria-labelledby=${`${id}-title`} onClose=${close} onKeyDown=${onKeyDown} onClick=${onClick}>
    <form class="dialog-body" onSubmit=${save}>
      <h2 id=${`${id}-title`}>${own.title}</h2>
      <textarea class="field dialog-text" rows="6" dir="auto" ref=${field} aria-label=${own.title} placeholder=${own.example}
        aria-describedby=${`${id}-help ${id}-problem`} aria-invalid=${count > MAX_CHARS} defaultValue=${current}
        onInput=${(event) => setCount(event.currentTarget.value.trim().length)}></textarea>
      <p class="meta" id=${`${id}-help`}>${own.help} <a class="link-button" href="/settings#chat">${own.ofPerson}</a></p>
      <p class="form-error" id=${`${id}-problem`} role="alert">${count > MAX_CHARS ? own.tooLong(count, MAX_CHARS) : problem}</p>
      <div class="form-row dialog-actions">
        <button type="button" class="button" onClick=${() => dialog.current.close()}>${text.cancel}</button>
        <button type="submit" class="button button-primary" disabled=${isSaving || count > MAX_CHARS}>${text.save}</button>
      </div>
    </form>
  </dialog>`;
}
