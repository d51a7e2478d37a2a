import { html, useLayoutEffect, useRef, useState } from "../../../preact.js";
import { isComposing } from "../../lib/input_method.js";
import { spoken } from "../../lib/format.js";
import { isTooLongForField, lineCount, partsOf } from "../../compose/pasted.js";
import { Icon } from "../icons.js";
import { LongText } from "../messages/long_text.js";
import { broughtText, setText } from "./text_field.js";

// A browser inserts a pasted text line by line, which takes long if it has many.
const LONG_PASTE_CHARS = 5_000;

// These texts are not in text.js, because they are loaded only when they are needed.
const own = spoken("pasted", {
  folded: { one: "Pasted text, {count} line", other: "Pasted text, {count} lines" },
  show: "Show the pasted text",
  edit: "Edit the pasted text",
  remove: "Remove the pasted text",
  inline: "Put it into the message",
  part: "Part {index} of {count}",
  previous: "Previous part",
  next: "Next part",
});

/** Long pasted texts above the field. Each can be opened, edited, removed or moved into the field. */
export function PastedChips({ pastes, change, inline }) {
  const [opened, setOpened] = useState(null);
  if (pastes.length === 0) return null;
  const remove = (index) => {
    setOpened(null);
    change(pastes.filter((_, other) => other !== index));
  };
  const write = (index, content) => change(pastes.map((paste, other) => (other === index ? content : paste)));
  return html`<ul class="pasted-list">
    ${pastes.map((paste, index) => html`<li class=${opened === index ? "pasted pasted-open" : "pasted"}>
      <div class="pasted-row">
        <button type="button" class="pasted-name" aria-expanded=${opened === index} title=${own.show}
          onClick=${() => setOpened(opened === index ? null : index)}>
          <${Icon} name="paste" /><span class="pasted-title">${own.folded(lineCount(paste))}</span>
          <span class="pasted-start meta" dir="auto">${paste.trim().slice(0, 80)}</span>
        </button>
        ${!isTooLongForField(paste) && html`<button type="button" class="quiet-button" aria-label=${own.inline} title=${own.inline}
          onClick=${() => inline(index)}><${Icon} name="down" /></button>`}
        <button type="button" class="quiet-button" aria-label=${own.remove} title=${own.remove} onClick=${() => remove(index)}>
          <${Icon} name="close" /></button>
      </div>
      ${opened === index && html`<${PasteField} content=${paste} close=${() => setOpened(null)}
        write=${(content) => (content ? write(index, content) : remove(index))} />`}
    </li>`)}
  </ul>`;
}

/** A field for one pasted text. A long one is edited in parts, because a browser lays out all of a field at once. */
function PasteField({ content, write, close }) {
  const field = useRef(null);
  const caret = useRef(0);
  const parts = useRef([]);
  const [chosen, choose] = useState(0);
  // It was opened, or changed in another tab.
  if (parts.current.join("") !== content) parts.current = partsOf(content);
  const at = Math.min(chosen, parts.current.length - 1);
  const shown = parts.current[at];
  useLayoutEffect(() => {
    if (field.current.value !== shown) setText(field.current, shown);
  }, [shown]);
  useLayoutEffect(() => {
    field.current.focus();
    field.current.setSelectionRange(caret.current, caret.current);
    caret.current = 0;
  }, [at]);
  const change = (value, end) => {
    const written = isTooLongForField(value) ? partsOf(value) : [value];
    const place = placeIn(written, end);
    parts.current = parts.current.toSpliced(at, 1, ...written);
    caret.current = place.offset;
    choose(at + place.index);
    write(parts.current.join(""));
  };
  const onPaste = (event) => {
    const pasted = broughtText(event);
    if (pasted.length <= LONG_PASTE_CHARS) return;
    event.preventDefault();
    const { value, selectionStart, selectionEnd } = field.current;
    change(value.slice(0, selectionStart) + pasted + value.slice(selectionEnd), selectionStart + pasted.length);
  };
  const onKeyDown = (event) => {
    if (event.key !== "Escape" || isComposing(event)) return;
    event.preventDefault();
    event.stopPropagation();
    close();
  };
  return html`<textarea class="pasted-field" rows="8" dir="auto" spellcheck="false" aria-label=${own.edit} ref=${field}
      onInput=${({ currentTarget }) => change(currentTarget.value, currentTarget.selectionEnd)} onPaste=${onPaste} onDrop=${onPaste} onKeyDown=${onKeyDown}></textarea>
    ${parts.current.length > 1 && html`<${PartStepper} at=${at} count=${parts.current.length} choose=${choose} />`}`;
}

function PartStepper({ at, count, choose }) {
  return html`<div class="stepper pasted-parts">
    <button type="button" class="quiet-button" aria-label=${own.previous} title=${own.previous} disabled=${at === 0}
      onClick=${() => choose(at - 1)}><${Icon} name="left" /></button>
    <span class="meta" role="status">${own.part(at + 1, count)}</span>
    <button type="button" class="quiet-button" aria-label=${own.next} title=${own.next} disabled=${at === count - 1}
      onClick=${() => choose(at + 1)}><${Icon} name="right" /></button>
  </div>`;
}

/** The place of a character of the joined text: the index of its part, and the offset there. */
function placeIn(parts, offset) {
  let index = 0;
  let rest = offset;
  while (rest > parts[index].length && index < parts.length - 1) rest -= parts[index++].length;
  return { index, offset: rest };
}

/** A pasted text in a message that was sent. */
export function PastedBlock({ content }) {
  return html`<details class="pasted-block">
    <summary><${Icon} name="paste" />${own.folded(lineCount(content))}<${Icon} name="chevron" /></summary>
    <pre dir="auto" tabindex="0"><${LongText} content=${content} /></pre>
  </details>`;
}
