// A native modal dialog with a form. Escape and a click beside it close it.
import { html, useLayoutEffect, useRef } from "../../../preact.js";
import { isComposing } from "../../lib/input_method.js";

/**
 * @param close takes the dialog away
 * @param isDirty () => whether something was written that a click beside the dialog must not lose
 */
export function Modal({ labelledBy, close, isDirty = () => false, onSubmit, children }) {
  const dialog = useRef(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element.showModal();
    element.querySelector("[data-first]")?.focus();
    return () => {
      element.close();
      if (document.activeElement === document.body || document.activeElement === null) before?.focus?.();
    };
  }, []);
  const onKeyDown = (event) => {
    // Keys pressed here are not shortcuts of the page: Escape must not also stop an answer.
    event.stopPropagation();
    if (event.key === "Escape" && !isComposing(event)) onCancel(event);
  };
  // The browser must not close it by itself: its event comes later, when another dialog may be open.
  const onCancel = (event) => {
    event.preventDefault();
    close();
  };
  return html`<dialog class="dialog" ref=${dialog} aria-labelledby=${labelledBy} onCancel=${onCancel} onKeyDown=${onKeyDown}
    onClick=${(event) => event.target === dialog.current && !isDirty() && close()}>
    <form class="dialog-body" onSubmit=${(event) => (event.preventDefault(), onSubmit?.())}>${children}</form>
  </dialog>`;
}
