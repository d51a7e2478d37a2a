import assert from "node:assert/strict";
import { test } from "node:test";
import { environmentAt, environmentEnd, forKatex, needsLines } from "../../../static/js/chat/markdown/syntax/math_environments.js";
import katex from "../../../static/vendor/katex-0.19.1/katex.js";

const drawn = (tex) => katex.renderToString(forKatex(tex), { throwOnError: true, strict: "ignore", displayMode: true });
const OF_PAIRS = ["align", "align*", "aligned", "split", "flalign", "flalign*"];
const OF_LINES = ["equation", "equation*", "gather", "gathered", "multline", "multline*", "displaymath", "cases", "dcases", "rcases", "matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix"];

test("environments are drawn, with labels and blank lines in them", () => {
  for (const name of OF_PAIRS) drawn(`\\begin{${name}}\\label{eq:1}\nu &= v \\\\\n\n  &= w\n\\end{${name}}`);
  for (const name of OF_LINES) drawn(`\\begin{${name}}\n u \n\\end{${name}}`);
  drawn("\\begin{eqnarray} u &=& v \\end{eqnarray}");
  drawn("\\begin{alignat}{2} u &= v \\end{alignat}");
  drawn("\\begin{array}{cc} u & v \\end{array}");
  assert.doesNotMatch(drawn("\\begin{align} u &= v \\end{align}"), /eqn-num/);
  assert.throws(() => drawn("\\begin{theorem} u \\end{theorem}"));
});

test("what stands between blank lines is drawn on lines of its own", () => {
  assert.equal(forKatex("u = v \\\\\n\nw = z"), "\\begin{gathered}u = v  \\\\ w = z\\end{gathered}");
  drawn("u = v\n\n\\begin{pmatrix} a & b \\end{pmatrix}");
  for (const tex of ["\\begin{align} u\n\nv \\end{align}", "\\frac{u}{\n\nv}", "u &= v\n\nw"]) assert.equal(forKatex(tex).includes("gathered"), false);
});

test("an environment ends where as many have ended as have begun", () => {
  const source = "\\begin{cases} \\begin{cases} u \\end{cases} \\end{cases} after";
  assert.equal(environmentAt(source), "cases");
  assert.equal(source.slice(environmentEnd(source, "cases")), " after");
  assert.equal(environmentEnd("\\begin{align*} \\end{align}", "align*"), -1);
  assert.equal(environmentAt("\\begin{theorem}"), undefined);
  assert.deepEqual(["\\begin{align*}", "\\begin{pmatrix}", "\\begin{aligned}"].map(needsLines), [true, false, false]);
});
