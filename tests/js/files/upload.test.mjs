import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../../../static/js/chat/api.js";
import { FILE_GONE, uploadFile } from "../../../static/js/chat/files/upload.js";
import { Uploads } from "../../../static/js/chat/files/uploads.js";

const PART = 4;
const DATA = new TextEncoder().encode("0123456789").buffer;
const FILE = { id: "f1", name: "a.txt", bytes: 10 };
const READY = { id: "f1", kind: "text", name: "a.txt", bytes: 10 };
const cut = () => new ApiError({});
const refusal = (code, status = 422) => new ApiError({ status, code, message: `refused: ${code}` });

/** A server of files. `fail(what)` may return an error for a request, which then does nothing; or `"after"` an error that hides its success. */
function setUpServer({ fail = () => null, refuses = null, looks = 1, user, knowsSound = true } = {}) {
  const files = new Map();
  const seen = [];
  let checks = looks;
  const stateOf = (id) => {
    const file = files.get(id);
    if (!file) throw refusal("file_not_found", 404);
    const { bytes, name, state } = file;
    const end = state === "ready" ? { file: READY } : state === "refused" ? { error: { code: refuses, message: "No." } } : {};
    const decoded = file.wav && knowsSound ? { wav_parts: [...file.wavParts.keys()].sort() } : {};
    return { id, name, bytes, state, part_bytes: PART, parts: [...file.parts.keys()].sort(), ...decoded, ...end };
  };
  const step = async (what, work) => {
    seen.push(what);
    const error = fail(what, seen.length);
    if (error && !error.isAfter) throw error;
    const answer = work();
    if (error) throw error;
    return answer;
  };
  const requests = {
    begin: (body) => step("begin", () => {
      if (!files.has(body.id)) files.set(body.id, { ...body, state: "uploading", parts: new Map(), wavParts: new Map() });
      return { ...stateOf(body.id), ...(user && { user }) };
    }),
    part: (id, part, body, { onProgress }) => step(`part ${part}`, () => {
      stateOf(id);
      files.get(id).parts.set(part, new TextDecoder().decode(body));
      onProgress(body.byteLength);
      return stateOf(id);
    }),
    wavPart: (id, part, body, { onProgress }) => step(`wav ${part}`, () => {
      files.get(id).wavParts.set(part, new TextDecoder().decode(body));
      onProgress(body.byteLength);
      return stateOf(id);
    }),
    complete: (id) => step("complete", () => {
      stateOf(id);
      files.get(id).state = "checking";
      return stateOf(id);
    }),
    state: (id) => step("state", () => {
      if (files.get(id)?.state === "checking" && --checks <= 0) files.get(id).state = refuses ? "refused" : "ready";
      return stateOf(id);
    }),
    drop: async (id) => files.delete(id),
  };
  return { requests, files, seen };
}

const wake = () => {
  const target = new EventTarget();
  const timer = setInterval(() => target.dispatchEvent(new Event("wake")), 1);
  timer.unref();
  return target;
};

function upload(server, more = {}) {
  const steps = [];
  const options = {
    requests: server.requests, person: () => "alice", onUser: (user) => steps.push({ user }), read: async () => DATA,
    report: (one) => steps.push(one), signal: new AbortController().signal, wake: wake(), ...more,
  };
  return { done: uploadFile(FILE, options), steps };
}

test("a file goes in parts, in order, with its digest, and is waited for until it is ready", async () => {
  const server = setUpServer({ looks: 2 });
  const { done, steps } = upload(server);
  assert.deepEqual(await done, READY);
  assert.deepEqual(server.seen, ["begin", "part 0", "part 1", "part 2", "complete", "state", "state"]);
  const { parts, sha256, person } = server.files.get("f1");
  assert.deepEqual([...parts.values()], ["0123", "4567", "89"]);
  assert.deepEqual([sha256.slice(0, 8), person], ["84d89877", "alice"]);
  const told = steps.filter(({ state }) => state === "uploading").map(({ progress }) => progress);
  assert.deepEqual(told, [0, 0.4, 0.4, 0.8, 0.8, 1]);
  assert.equal(steps.at(-1).state, "checking");
});

test("sound that the page has decoded goes after the file, with its own digest, and the progress is that of both", async () => {
  const wav = new TextEncoder().encode("abcdef").buffer;
  const server = setUpServer();
  const { done, steps } = upload(server, { decoded: async () => wav });
  assert.deepEqual(await done, READY);
  assert.deepEqual(server.seen, ["begin", "part 0", "part 1", "part 2", "wav 0", "wav 1", "complete", "state"]);
  const { wav: announced, wavParts } = server.files.get("f1");
  assert.deepEqual([announced.bytes, announced.sha256.slice(0, 8)], [6, "bef57ec7"]);
  assert.deepEqual([...wavParts.values()], ["abcd", "ef"]);
  const told = steps.filter(({ state }) => state === "uploading").map(({ progress }) => progress);
  assert.deepEqual(told, [0, 0.25, 0.25, 0.5, 0.5, 0.625, 0.625, 0.875, 0.875, 1]);
});

test("parts of the decoded sound that the server has are not sent again", async () => {
  const wav = new TextEncoder().encode("abcdef").buffer;
  const server = setUpServer();
  await server.requests.begin({ id: "f1", name: "a.ogg", bytes: 10, wav: {} });
  for (const part of [0, 1, 2]) await server.requests.part("f1", part, DATA.slice(4 * part, 4 * part + 4), { onProgress() {} });
  await server.requests.wavPart("f1", 1, wav.slice(4), { onProgress() {} });
  server.seen.length = 0;
  await upload(server, { decoded: async () => wav }).done;
  assert.deepEqual(server.seen, ["begin", "wav 0", "complete", "state"]);
});

test("a server that was not told of decoded sound gets none", async () => {
  const server = setUpServer({ knowsSound: false });
  assert.deepEqual(await upload(server, { decoded: async () => DATA }).done, READY);
  assert.deepEqual(server.seen, ["begin", "part 0", "part 1", "part 2", "complete", "state"]);
});

test("parts that the server has are not sent again", async () => {
  const server = setUpServer();
  await server.requests.begin({ id: "f1", name: "a.txt", bytes: 10 });
  await server.requests.part("f1", 1, DATA.slice(4, 8), { onProgress() {} });
  server.seen.length = 0;
  assert.deepEqual(await upload(server).done, READY);
  assert.deepEqual(server.seen, ["begin", "part 0", "part 2", "complete", "state"]);
});

test("every request that is lost, before or after it arrived, is repeated", async () => {
  for (const isAfter of [false, true]) {
    const failed = new Set();
    const server = setUpServer({
      fail: (what) => {
        if (failed.has(what)) return null;
        failed.add(what);
        return Object.assign(cut(), { isAfter });
      },
    });
    const { done, steps } = upload(server);
    assert.deepEqual(await done, READY);
    assert.deepEqual([...server.files.get("f1").parts.values()], ["0123", "4567", "89"]);
    assert.ok(steps.some(({ state }) => state === "waiting"));
  }
});

test("a refusal by content or by a limit ends it", async () => {
  await assert.rejects(upload(setUpServer({ refuses: "file_damaged" })).done, { code: "file_damaged", message: "No.", isRetryable: false });
  const server = setUpServer({ fail: (what) => (what === "begin" ? refusal("storage_full", 409) : null) });
  await assert.rejects(upload(server).done, { code: "storage_full" });
  assert.deepEqual(server.seen, ["begin"]);
});

test("a file that the server has forgotten is sent again from its beginning", async () => {
  let isForgotten = false;
  const server = setUpServer({
    fail: (what) => {
      if (what !== "complete" || isForgotten) return null;
      isForgotten = true;
      return server.files.clear();
    },
  });
  assert.deepEqual(await upload(server).done, READY);
  assert.deepEqual(server.seen, ["begin", "part 0", "part 1", "part 2", "complete", "begin", "part 0", "part 1", "part 2", "complete", "state"]);
});

test("a server that never has all parts is not asked for ever", async () => {
  const server = setUpServer({ fail: (what) => (what === "complete" ? refusal("file_incomplete", 409) : null) });
  await assert.rejects(upload(server).done, { code: "file_incomplete" });
});

test("without its content a file is ready if the server has it, and gone otherwise", async () => {
  const server = setUpServer();
  await assert.rejects(upload(server, { read: async () => null }).done, { code: FILE_GONE });
  await upload(server).done;
  assert.deepEqual(await upload(server, { read: async () => null }).done, READY);
});

test("a stopped upload sends nothing more, also while it waits", async () => {
  const controller = new AbortController();
  const server = setUpServer({ fail: (what) => (what === "part 1" ? (controller.abort(), cut()) : null) });
  await assert.rejects(upload(server, { signal: controller.signal }).done, { name: "AbortError" });
  assert.deepEqual(server.seen, ["begin", "part 0", "part 1"]);
});

function setUpUploads(server, more = {}) {
  return new Uploads({
    requests: server.requests, person: () => "alice", onUser() {}, read: async () => DATA, decoded: async () => null, onStep() {}, locks: null, wake: wake(), ...more,
  });
}

test("an upload that runs is joined, and one that ended can be started again", async () => {
  const server = setUpServer();
  const uploads = setUpUploads(server);
  const [first, second] = [uploads.start(FILE), uploads.start(FILE)];
  assert.equal(first, second);
  await first;
  await new Promise((resolve) => setTimeout(resolve));
  assert.notEqual(uploads.start(FILE), first);
});

test("the first file of a visitor makes them a guest before the next one begins", async () => {
  let person = null;
  let atOnce = 0;
  const begins = [];
  const server = setUpServer({ user: { id: "guest" } });
  const { begin } = server.requests;
  server.requests.begin = async (body) => {
    begins.push([body.id, body.person, ++atOnce]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    atOnce -= 1;
    return begin(body);
  };
  const uploads = setUpUploads(server, { person: () => person, onUser: (user) => (person = user.id) });
  await Promise.all(["f1", "f2", "f3"].map((id) => uploads.start({ ...FILE, id })));
  assert.deepEqual(begins[0], ["f1", null, 1]);
  assert.deepEqual(begins.slice(1).map(([, who]) => who), ["guest", "guest"]);
});

test("a stopped upload frees its turn", async () => {
  const server = setUpServer({ fail: (what) => (what === "part 0" ? cut() : null) });
  const uploads = setUpUploads(server, { person: () => null, wake: new EventTarget() });
  const first = uploads.start(FILE);
  const second = uploads.start({ ...FILE, id: "f2" });
  uploads.stop("f1");
  await assert.rejects(first, { name: "AbortError" });
  uploads.stop("f2");
  await assert.rejects(second, { name: "AbortError" });
});
