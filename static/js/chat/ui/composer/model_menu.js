import { html, useEffect, useRef, useState } from "../../../preact.js";
import { lazyModule } from "../lazy_modules.js";

/** A button that opens the list of models, for the next message and for answering again. */
export function ModelMenu({ store, selected, onPick, label, trigger, triggerClass }) {
  const [isOpen, setOpen] = useState(false);
  const root = useRef(null);
  const close = ({ refocus = true } = {}) => {
    setOpen(false);
    if (refocus) root.current?.querySelector("button")?.focus();
  };
  useEffect(() => {
    if (!isOpen) return undefined;
    // The menu may have been removed a moment ago, with what it belonged to.
    const outside = (event) => root.current && !root.current.contains(event.target) && close({ refocus: false });
    document.addEventListener("pointerdown", outside);
    document.addEventListener("focusin", outside);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("focusin", outside);
    };
  }, [isOpen]);
  const pick = (id) => {
    close();
    onPick(id);
  };
  const menus = isOpen && lazyModule("menus");
  return html`<div class="menu" ref=${root}>
    <button type="button" class=${triggerClass} aria-haspopup="listbox" aria-expanded=${isOpen} aria-label=${label} title=${label}
      disabled=${store.models.value.length === 0} onClick=${() => setOpen(!isOpen)}>${trigger}</button>
    ${menus && html`<${menus.ModelList} store=${store} selected=${selected} pick=${pick} close=${close} />`}
  </div>`;
}
