import { html, useLayoutEffect, useRef, useState } from "../../../preact.js";
import { isComposing } from "../../lib/input_method.js";
import { lineCount } from "../../compose/pasted.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";
import { LongText } from "../messages/long_text.js";
import { pasteLong } from "./long_paste.js";
import { setText } from "./text_field.js";

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
        <button type="button" class="pasted-name" aria-expanded=${opened === index} title=${text.pastedShow}
          onClick=${() => setOpened(opened === index ? null : index)}>
          <${Icon} name="paste" /><span class="pasted-title">${text.pasted(lineCount(paste))}</span>
          <span class="pasted-start meta" dir="auto">${paste.trim().slice(0, 80)}</span>
        </button>
        <button type="button" class="quiet-button" aria-label=${text.pastedInline} title=${text.pastedInline} onClick=${() => inline(index)}>
          <${Icon} name="down" /></button>
        <button type="button" class="quiet-button" aria-label=${text.pastedRemove} title=${text.pastedRemove} onClick=${() => remove(index)}>
          <${Icon} name="close" /></button>
      </div>
      ${opened === index && html`<${PasteField} content=${paste} close=${() => setOpened(null)}
        write=${(content) => (content ? write(index, content) : remove(index))} />`}
    </li>`)}
  </ul>`;
}

function PasteField({ content, write, close }) {
  const field = useRef(null);
  useLayoutEffect(() => {
    if (field.current.value !== content) setText(field.current, content);
  }, [content]);
  useLayoutEffect(() => field.current.focus(), []);
  const onKeyDown = (event) => {
    if (event.key !== "Escape" || isComposing(event)) return;
    event.preventDefault();
    event.stopPropagation();
    close();
  };
  return html`<textarea class="pasted-field" rows="8" dir="auto" spellcheck="false" aria-label=${text.pastedEdit} ref=${field}
    onInput=${(event) => write(event.currentTarget.value)} onPaste=${pasteLong} onKeyDown=${onKeyDown}></textarea>`;
}

/** A pasted text in a message that was sent. */
export function PastedBlock({ content }) {
  return html`<details class="pasted-block">
    <summary><${Icon} name="paste" />${text.pasted(lineCount(content))}<${Icon} name="chevron" /></summary>
    <pre dir="auto" tabindex="0"><${LongText} content=${content} /></pre>
  </details>`;
}
