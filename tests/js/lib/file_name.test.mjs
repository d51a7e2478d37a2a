import assert from "node:assert/strict";
import { test } from "node:test";
import { fileName } from "../../../static/js/chat/lib/file_name.js";

test("a title becomes the name of a file, whatever is in it", () => {
  for (const [title, name] of [
    ["A plan", "A plan"],
    ["a/b\\c: d?", "a-b-c- d"],
    ["../../etc/passwd", "etc-passwd"],
    [".hidden\n\tname ", "hidden name"],
    ["\u202egnp.exe", "gnp.exe"],
    ["日本語 — ё", "日本語 — ё"],
    ["…".repeat(200), "…".repeat(80)],
    ["///", ""],
  ])
    assert.equal(fileName(title), name, JSON.stringify(title));
});
