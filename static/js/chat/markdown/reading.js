// All that draws answers, as one thing to fetch.
import { codeToolClicked } from "./code_tools.js";
import { footnoteClicked } from "./nodes.js";

export { MarkdownView } from "./view.js";

/** Clicks inside drawn markdown, which is plain nodes. */
export const clicked = (event) => codeToolClicked(event) || footnoteClicked(event);
