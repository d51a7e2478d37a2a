import { html, useRef } from "../../../preact.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";

/** Opens the browser's choice of files. It names no types, so that phones offer the camera, too. */
export function AttachButton({ store, place }) {
  const input = useRef(null);
  const attach = () => {
    store.attachments.add(place, [...input.current.files]);
    // The same file may be chosen again.
    input.current.value = "";
  };
  return html`<button type="button" class="quiet-button attach-button" aria-label=${text.attach} title=${text.attach}
      onClick=${() => input.current.click()}><${Icon} name="clip" /></button>
    <input type="file" multiple hidden ref=${input} onChange=${attach} />`;
}
