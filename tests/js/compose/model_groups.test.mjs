import assert from "node:assert/strict";
import { test } from "node:test";
import { groupModels, providerOf, recentModels } from "../../../static/js/chat/compose/model_groups.js";

const model = (id, more = {}) => ({ id, name: id.split("/").at(-1), endpoint: id.split("/")[0], free: true, own_key: false, ...more });
const labels = { pinned: "Pinned", recent: "Recent" };
const shape = (groups) => groups.map((group) => [group.label, ...group.models.map(({ id }) => id)]);
const MODELS = ["openai/four", "router/acme/one", "router/other/two", "router/acme/three"].map((id) => model(id));
const OWN = model("k1/acme/one", { own_key: true, endpoint: "My key" });

test("each model is in one group: pinned, then recent, then its provider", () => {
  const options = { words: [], pinned: ["router/other/two", "gone/x"], recent: ["router/other/two", "openai/four"], labels };
  assert.deepEqual(shape(groupModels([...MODELS, OWN], options)), [
    ["Pinned", "router/other/two"],
    ["Recent", "openai/four"],
    ["acme", "router/acme/one", "router/acme/three"],
    ["My key", "k1/acme/one"],
  ]);
});

test("words are looked for in names, ids and endpoints", () => {
  const found = (...words) => shape(groupModels([...MODELS, OWN], { words, pinned: ["openai/four"], recent: [], labels }));
  assert.deepEqual(found("router", "one"), [["acme", "router/acme/one"]]);
  assert.deepEqual(found("my"), [["My key", "k1/acme/one"]]);
  assert.deepEqual(found("four"), [["Pinned", "openai/four"]]);
  assert.deepEqual(found("nothing"), []);
});

test("the provider is the maker where the id names one", () => {
  assert.equal(providerOf(model("router/acme/one")), "acme");
  assert.equal(providerOf(model("openai/four")), "openai");
  assert.equal(providerOf(model("k1/four", { own_key: true, endpoint: "My key" })), "My key");
});

test("the last five models of the chats, latest first and each once", () => {
  const chats = ["a", "b", "a", "c", null, "d", "e", "f"].map((id, at) => ({ model: id, updated_ms: at }));
  assert.deepEqual(recentModels(chats), ["f", "e", "d", "c", "a"]);
});
