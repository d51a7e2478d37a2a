import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isComposing } from "../../../static/js/chat/lib/input_method.js";

const ROOT = new URL("../../../static/js", import.meta.url).pathname;
// Keys that an input method uses to choose and to finish: a handler of one must call isComposing.
const COMMAND_KEY = /["']?\b(?:Enter|Escape|Arrow(?:Up|Down|Left|Right))\b["']?/;
const HANDLER = /\(event\) => \{|function \w+\(event\) \{/g;
// This module only handles keys that are pressed outside of text fields.
const OUTSIDE_OF_FIELDS = new Set(["chat/lib/scroll_keeper.js"]);

const files = readdirSync(ROOT, { recursive: true }).filter((name) => name.endsWith(".js"));

/** Returns the source of the function that begins at `start`. */
function bodyAt(source, start) {
  let depth = 0;
  for (let at = source.indexOf("{", start); at < source.length; at++) {
    if (source[at] === "{") depth += 1;
    else if (source[at] === "}" && --depth === 0) return source.slice(start, at + 1);
  }
  return source.slice(start);
}

function handlersOf(source) {
  const bodies = Array.from(source.matchAll(HANDLER), ({ index }) => bodyAt(source, index));
  return bodies.filter((body) => body.includes("event.key") && COMMAND_KEY.test(body));
}

test("Chrome says it is composing, Safari says it by the key code alone", () => {
  assert.equal(isComposing({ isComposing: true, keyCode: 13 }), true);
  assert.equal(isComposing({ isComposing: false, keyCode: 229 }), true);
  assert.equal(isComposing({ isComposing: false, keyCode: 13 }), false);
});

test("every handler of Enter, Escape or an arrow asks whether an input method takes the key", () => {
  let found = 0;
  for (const name of files) {
    for (const body of handlersOf(readFileSync(join(ROOT, name), "utf-8"))) {
      found += 1;
      const asks = OUTSIDE_OF_FIELDS.has(name) || /\bisComposing\(event\)|\bisSendKey\(event\)/.test(body);
      assert.ok(asks, `${name}:\n${body}`);
    }
  }
  assert.ok(found >= 11, `only ${found} handlers were recognised`);
});

test("nobody tells it in another way", () => {
  for (const name of files) {
    if (name === "chat/lib/input_method.js") continue;
    assert.ok(!/\.isComposing\b|\b229\b/.test(readFileSync(join(ROOT, name), "utf-8")), name);
  }
});
