// The buttons of code blocks. The blocks are plain nodes, so one listener serves them all.
import { text } from "../text.js";
import { copyFrom } from "../ui/messages/actions/clipboard.js";
import { togglePreview } from "./preview.js";
import { ICON_PATHS } from "../ui/icons.js";

const SVG = "http://www.w3.org/2000/svg";
/** @type {Record<string, string>} */
const EXTENSIONS = {
  bash: "sh", c: "c", "c++": "cpp", cpp: "cpp", csharp: "cs", css: "css", diff: "diff", go: "go", haskell: "hs", html: "html",
  java: "java", javascript: "js", js: "js", json: "json", jsx: "jsx", kotlin: "kt", latex: "tex", lua: "lua", markdown: "md",
  md: "md", perl: "pl", php: "php", python: "py", py: "py", r: "r", ruby: "rb", rust: "rs", scala: "scala", scss: "scss",
  sh: "sh", shell: "sh", sql: "sql", svg: "svg", swift: "swift", toml: "toml", ts: "ts", tsx: "tsx", typescript: "ts", xml: "xml",
  yaml: "yaml", yml: "yml",
};

/**
 * A button that `codeToolClicked` handles.
 * @param {string} action
 * @param {string} label
 * @param {{icon?: keyof typeof ICON_PATHS | null, isToggle?: boolean, isWide?: boolean}} [options]
 */
export function button(action, label, { icon = null, isToggle = false, isWide = false } = {}) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = isWide ? "code-expand" : "quiet-button code-tool";
  element.dataset.code = action;
  if (icon) {
    element.append(svgIcon(icon));
    element.title = label;
    element.setAttribute("aria-label", label);
  } else element.textContent = label;
  if (!icon && !isWide) element.classList.add("code-tool-words");
  if (isToggle) element.setAttribute("aria-pressed", "false");
  return element;
}

/**
 * Handles a click on such a button; returns whether it was one.
 * @param {Event} event
 */
export function codeToolClicked(event) {
  const clicked = /** @type {HTMLElement | null} */ (event.target instanceof Element && event.target.closest("[data-code]"));
  const block = /** @type {HTMLElement | null} */ (clicked?.closest(".code") ?? null);
  if (!clicked || !block) return false;
  ACTIONS[clicked.dataset.code ?? ""]?.(clicked, block);
  return true;
}

/** @param {Element} block */
const codeOf = (block) => block.querySelector("code")?.textContent ?? "";

/** @type {Record<string, (clicked: HTMLElement, block: HTMLElement) => void>} */
const ACTIONS = {
  copy: (clicked, block) => void copyFrom(clicked, codeOf(block).replace(/\n$/, ""), text.copyCode),
  wrap: (clicked, block) => clicked.setAttribute("aria-pressed", String(block.classList.toggle("code-wrapped"))),
  preview: (clicked, block) => togglePreview(block, codeOf(block), clicked),
  expand: (clicked, block) => {
    block.classList.remove("code-folded");
    block.querySelector("pre")?.focus({ preventScroll: true });
    clicked.remove();
  },
  download: (clicked, block) => {
    const address = URL.createObjectURL(new Blob([codeOf(block)], { type: "text/plain" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = fileName(block.dataset.language ?? "");
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  },
};

/** @param {string} language */
function fileName(language) {
  const name = language.toLowerCase();
  if (name === "dockerfile" || name === "makefile") return name;
  return `code.${Object.hasOwn(EXTENSIONS, name) ? EXTENSIONS[name] : "txt"}`;
}

/** @param {keyof typeof ICON_PATHS} name */
function svgIcon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICON_PATHS[name]);
  svg.append(path);
  return svg;
}
