import { html, useLayoutEffect, useRef, useState } from "../../preact.js";

// What draws markdown is fetched with the first answer, not with the empty page.
let reading = null;
let loading = null;

/** Begin to fetch what draws answers. */
export function loadReading() {
  loading ??= import("../markdown/reading.js").then((module) => (reading = module));
  return loading;
}

/** Markdown that may still grow. `source` only ever gets longer until `isDone`. */
export function Markdown({ source, isDone }) {
  const root = useRef(null);
  const view = useRef(null);
  const [, setLoaded] = useState(false);
  useLayoutEffect(() => {
    if (!reading) {
      loadReading().then(() => setLoaded(true), () => (root.current.textContent = source));
      return;
    }
    view.current ??= new reading.MarkdownView(root.current);
    view.current.update(source, isDone);
  });
  useLayoutEffect(() => () => view.current?.dispose(), []);
  return html`<div class=${isDone ? "md" : "md md-growing"} ref=${root} onClick=${(event) => reading?.clicked(event)}></div>`;
}
