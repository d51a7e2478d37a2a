// Draws formulas with KaTeX, which is loaded with the first formula. KaTeX builds nodes and sets their
// styles one by one, which the content security policy allows, unlike inline style attributes. With
// `trust` off, no TeX command can make links, images or attributes.
import { styled } from "../ui/late_styles.js";
import { forKatex } from "./syntax/math_environments.js";
import { nodesIn } from "./node_budget.js";
import { expansionsFor, isTooDeep } from "./syntax/math_syntax.js";

const REMEMBERED = 400;
// Much deeper nesting overflows a browser's stack during layout.
const DEEPEST_NODES = 300;
const MOST_NODES = 6_000;
const OPTIONS = { throwOnError: true, trust: false, strict: "ignore", maxSize: 30, output: "htmlAndMathml" };

let katex = null;
let loading = null;
const drawn = new Map(); // "d" or "i" + TeX -> element to clone, or null if it is not valid TeX

/** Draw the TeX in the text of `element`: now if it was drawn before, else as soon as `budget` allows. */
export function typeset(element, budget) {
  const tex = element.textContent;
  const isDisplay = element.classList.contains("math-display");
  const key = (isDisplay ? "d" : "i") + tex;
  if (drawn.has(key) && !budget.isSpent) {
    budget.spend(show(element, drawn.get(key)));
    return;
  }
  if (expansionsFor(tex) === 0 || isTooDeep(tex)) return;
  const drawLater = () => budget.drawSoon(element, () => show(element, drawn.has(key) ? drawn.get(key) : draw(key, tex, isDisplay)));
  loading ??= load();
  if (katex) drawLater();
  else loading.then((isThere) => isThere && drawLater());
}

/** Returns the number of nodes it made. */
function show(element, formula) {
  if (!formula) {
    element.classList.add("math-wrong");
    return 1;
  }
  element.replaceChildren(formula.cloneNode(true));
  element.classList.add("math-drawn");
  if (element.classList.contains("math-display")) element.tabIndex = 0;
  return nodesIn(element);
}

function draw(key, tex, displayMode) {
  const box = document.createElement("span");
  let formula = null;
  try {
    katex.render(forKatex(tex), box, { ...OPTIONS, maxExpand: expansionsFor(tex), displayMode });
    formula = isLayable(box) ? box.firstElementChild : null;
  } catch {
    // Invalid TeX, or too much of it, stays as it was written.
  }
  drawn.set(key, formula);
  if (drawn.size > REMEMBERED) drawn.delete(drawn.keys().next().value);
  return formula;
}

function isLayable(box) {
  const elements = box.getElementsByTagName("*");
  if (elements.length > MOST_NODES) return false;
  let depth = 0;
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_ELEMENT);
  for (let node = walker.nextNode(); node; ) {
    const below = walker.firstChild();
    if (below) {
      depth += 1;
      if (depth > DEEPEST_NODES) return false;
      node = below;
      continue;
    }
    while (node && !(node = walker.nextSibling())) {
      node = walker.parentNode();
      depth -= 1;
    }
  }
  return true;
}

async function load() {
  try {
    await styled(import("../../../vendor/katex-0.19.1/katex.js"), "math-styles");
    katex = globalThis.katex;
    return true;
  } catch {
    loading = null;
    return false;
  }
}
