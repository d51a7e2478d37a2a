import { html, useLayoutEffect, useRef } from "../../preact.js";
import { MarkdownView } from "../markdown/view.js";
import { copyCodeOnClick } from "./clipboard.js";

/** Markdown that may still grow. `source` only ever gets longer until `isDone`. */
export function Markdown({ source, isDone }) {
  const root = useRef(null);
  const view = useRef(null);
  useLayoutEffect(() => {
    view.current ??= new MarkdownView(root.current);
    view.current.update(source, isDone);
  }, [source, isDone]);
  return html`<div class=${isDone ? "md" : "md md-growing"} dir="auto" ref=${root} onClick=${copyCodeOnClick}></div>`;
}
