// Folds logs from standard input, one JSON list of [entry id, event] a line, and prints the
// transcript of each, so that a test can compare it with Python's.
import { createInterface } from "node:readline";
import { emptyTranscript, foldEntry, transcriptToJson } from "../../../static/js/chat/log/fold.js";

for await (const line of createInterface({ input: process.stdin })) {
  const state = emptyTranscript();
  for (const [id, data] of JSON.parse(line)) foldEntry(state, id, data);
  process.stdout.write(JSON.stringify(transcriptToJson(state)) + "\n");
}
