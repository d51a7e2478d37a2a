// Formulas are drawn by KaTeX, which is fetched when the first one is seen. It builds nodes and sets
// their styles one by one, which the content security policy allows (inline style attributes it
// does not). With `trust` off no command of TeX can make links, images or attributes.
import { later } from "../slices.js";
import { styled } from "../ui/late_styles.js";
import { forKatex } from "./math_environments.js";
import { expansionsFor } from "./math_syntax.js";

const REMEMBERED = 400;
const OPTIONS = { throwOnError: true, trust: false, strict: "ignore", maxSize: 30, output: "htmlAndMathml" };

let katex = null;
let loading = null;
const drawn = new Map(); // "d" or "i" + TeX -> element to clone, or null where it is no TeX

/** Draw the TeX that `element` holds as text, now if it was drawn before, else soon. */
export function typeset(element) {
  const tex = element.textContent;
  const isDisplay = element.classList.contains("math-display");
  const key = (isDisplay ? "d" : "i") + tex;
  if (drawn.has(key)) return show(element, drawn.get(key));
  if (expansionsFor(tex) === 0) return undefined;
  const drawLater = () => later(() => show(element, drawn.has(key) ? drawn.get(key) : draw(key, tex, isDisplay)));
  loading ??= load();
  if (katex) drawLater();
  else loading.then((isThere) => isThere && drawLater());
  return undefined;
}

function show(element, formula) {
  if (!formula) {
    element.classList.add("math-wrong");
    return;
  }
  element.replaceChildren(formula.cloneNode(true));
  element.classList.add("math-drawn");
  if (element.classList.contains("math-display")) element.tabIndex = 0;
}

function draw(key, tex, displayMode) {
  const box = document.createElement("span");
  let formula = null;
  try {
    katex.render(forKatex(tex), box, { ...OPTIONS, maxExpand: expansionsFor(tex), displayMode });
    formula = box.firstElementChild;
  } catch {
    // No TeX, or too much of it: what was written stays.
  }
  drawn.set(key, formula);
  if (drawn.size > REMEMBERED) drawn.delete(drawn.keys().next().value);
  return formula;
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
