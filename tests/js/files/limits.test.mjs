import assert from "node:assert/strict";
import { test } from "node:test";
import { doubtAbout, fitting, guessKind, MOST_FILES } from "../../../static/js/chat/files/limits.js";

const MB = 1_000_000;

test("the kind is guessed by type and name, and an SVG is text", () => {
  const kinds = [
    [{ name: "a.bin", type: "image/png" }, "image"],
    [{ name: "IMG_1.HEIC", type: "" }, "image"],
    [{ name: "a.svg", type: "image/svg+xml" }, "text"],
    [{ name: "a", type: "application/pdf" }, "document"],
    [{ name: "plan.XLSX" }, "document"],
    [{ name: "notes.md", type: "text/markdown" }, "text"],
    [{ name: "no-name" }, "text"],
    [{ name: "memo", type: "audio/mp4" }, "audio"],
    [{ name: "Talk.WEBM", type: "video/webm" }, "audio"],
    [{ name: "song.opus" }, "audio"],
  ];
  for (const [file, kind] of kinds) assert.equal(guessKind(file), kind, file.name);
});

test("a file that its kind, or any kind, has no room for is in doubt", () => {
  assert.equal(doubtAbout({ name: "a.txt", size: 0 }), "empty");
  assert.equal(doubtAbout({ name: "a.jpg", size: 20 * MB }), null);
  assert.equal(doubtAbout({ name: "a.jpg", size: 20 * MB + 1 }), "image");
  assert.equal(doubtAbout({ name: "a.txt", size: 5 * MB + 1 }), "text");
  assert.equal(doubtAbout({ name: "a.mp3", size: 25 * MB }), null);
  assert.equal(doubtAbout({ name: "a.mp3", size: 25 * MB + 1 }), "audio");
  // A recording of 15 minutes.
  assert.equal(doubtAbout({ name: "a.wav", size: 44 + 15 * 60 * 32_000 }), null);
  assert.equal(doubtAbout({ name: "a.wav", size: 29 * MB + 1 }), "audio");
  assert.equal(doubtAbout({ name: "a.pdf", size: 32 * MB }), null);
  assert.equal(doubtAbout({ name: "a.pdf", size: 32 * MB + 1 }), "any");
});

test("a message takes ten files", () => {
  const files = Array.from({ length: MOST_FILES }, (_, index) => ({ size: 1, index }));
  const { taken, refused } = fitting([{ bytes: 1 }], files);
  assert.deepEqual([taken.map(({ index }) => index), refused], [[0, 1, 2, 3, 4, 5, 6, 7, 8], "count"]);
  assert.equal(fitting([], files).refused, null);
});

test("a message takes 60 MB, and a smaller file may follow one that does not fit", () => {
  const files = [{ size: 20 * MB }, { size: 11 * MB }, { size: 10 * MB }];
  const { taken, refused } = fitting([{ bytes: 30 * MB }], files);
  assert.deepEqual([taken, refused], [[files[0], files[2]], "bytes"]);
});
