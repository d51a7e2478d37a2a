// All modules that draw answers, loaded together.
import { codeToolClicked } from "./code_tools.js";
import { footnoteClicked } from "./nodes.js";

export { richText } from "./rich_text.js";
export { MarkdownView } from "./view.js";

/** Handles clicks inside drawn markdown, whose nodes have no listeners of their own. */
export const clicked = (event) => codeToolClicked(event) || footnoteClicked(event);
