// The list of models in the order in which it is shown: pinned ones, those used lately, then by provider.
import { hasAll } from "../lib/plain_letters.js";

/** @typedef {import("./model_choice.js").Model} Model */
/** @typedef {{label: string, models: Model[]}} Group */

const MOST_RECENT = 5;

/**
 * The models that were used last on this account, latest first.
 * @param {Iterable<{model: string | null, updated_ms: number}>} chats
 */
export function recentModels(chats) {
  const latest = [...chats].filter((chat) => chat.model).sort((a, b) => b.updated_ms - a.updated_ms);
  return /** @type {string[]} */ ([...new Set(latest.map((chat) => chat.model))].slice(0, MOST_RECENT));
}

/**
 * The maker of the model, as far as its id tells, else its provider.
 * @param {Model} model
 */
export function providerOf(model) {
  const [endpoint, ...rest] = model.id.split("/");
  return rest.length > 1 ? rest[0] : model.own_key ? model.endpoint : endpoint;
}

/** @type {WeakMap<Model, string>} */
const searched = new WeakMap();

/** @param {Model} model */
function searchedText(model) {
  const known = searched.get(model);
  if (known !== undefined) return known;
  const text = `${model.name} ${model.id} ${model.endpoint}`;
  searched.set(model, text);
  return text;
}

/**
 * The models that have all `words`, in groups. Each model is in one group: the first that fits.
 * @param {Model[]} models
 * @param {{words: string[], pinned: string[], recent: string[], labels: {pinned: string, recent: string}}} options
 * @returns {Group[]}
 */
export function groupModels(models, { words, pinned, recent, labels }) {
  const byId = new Map(models.filter((model) => words.length === 0 || hasAll(searchedText(model), words)).map((model) => [model.id, model]));
  const groups = [];
  for (const [label, ids] of /** @type {[string, string[]][]} */ ([[labels.pinned, pinned], [labels.recent, recent]])) {
    const found = ids.flatMap((id) => byId.get(id) ?? []);
    for (const { id } of found) byId.delete(id);
    if (found.length > 0) groups.push({ label, models: found });
  }
  return [...groups, ...byProvider([...byId.values()])];
}

/**
 * The models of an own key are together under the name of the key.
 * @param {Model[]} models
 */
function byProvider(models) {
  /** @type {Map<string, Group>} */
  const groups = new Map();
  for (const model of models) {
    const label = model.own_key ? model.endpoint : providerOf(model);
    const key = `${model.own_key} ${label}`;
    if (!groups.has(key)) groups.set(key, { label, models: [] });
    groups.get(key)?.models.push(model);
  }
  return [...groups.values()];
}
