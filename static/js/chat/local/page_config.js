// The config of the last page (the person, the models, the list of chats), which the app shell uses offline, and
// other data of pages under names of their own. It belongs to the owner of the database.
import { value } from "./database.js";

const KEY = "config";

/** @typedef {import("./database.js").LocalDatabase} LocalDatabase */
/** @typedef {Record<string, any>} Config */

/**
 * @param {LocalDatabase} database
 * @returns {Promise<Config | null>}
 */
export async function keptConfig(database, key = KEY) {
  const kept = await database.run(["meta"], "readonly", (store) => value(store("meta").get(key)));
  return kept ?? null;
}

/**
 * @param {LocalDatabase} database
 * @param {Config} config
 */
export function keepConfig(database, config, key = KEY) {
  return database.run(["meta"], "readwrite", (store) => value(store("meta").put(config, key)));
}
