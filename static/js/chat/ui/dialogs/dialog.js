import { html, useLayoutEffect, useRef } from "../../../preact.js";
import { isComposing } from "../../lib/input_method.js";

/** A native modal dialog, which keeps the focus inside and the page inert. The focus is restored at the end. */
export function Dialog({ label, kind, close, children }) {
  const dialog = useRef(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element.showModal();
    return () => {
      element.close();
      if (document.activeElement === document.body || document.activeElement === null) before?.focus?.();
    };
  }, []);
  const onKeyDown = (event) => {
    if (event.key !== "Escape" || isComposing(event)) return;
    event.preventDefault();
    event.stopPropagation();
    close();
  };
  const onCancel = (event) => {
    event.preventDefault();
    close();
  };
  return html`<dialog class=${`dialog ${kind}`} aria-label=${label} ref=${dialog} onCancel=${onCancel} onKeyDown=${onKeyDown}
    onClick=${(event) => event.target === dialog.current && close()}>${children}</dialog>`;
}
