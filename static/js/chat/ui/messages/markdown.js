import { html, useLayoutEffect, useRef } from "../../../preact.js";
import { lazyModule } from "../lazy_modules.js";

/** Markdown that may still grow. `source` only ever gets longer until `isDone`. */
export function Markdown({ source, isDone }) {
  const root = useRef(null);
  const view = useRef(null);
  const reading = lazyModule("reading");
  useLayoutEffect(() => {
    if (!reading) return;
    view.current ??= new reading.MarkdownView(root.current);
    view.current.update(source, isDone);
  });
  useLayoutEffect(() => () => view.current?.dispose(), []);
  return html`<div class=${isDone ? "md" : "md md-growing"} ref=${root} onClick=${(event) => reading?.clicked(event)}></div>`;
}
