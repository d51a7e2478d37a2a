// The config of the last page (the person, the models, the list of chats), which the app shell uses offline.
// It belongs to the owner of the database.
import { value } from "./database.js";

const KEY = "config";

/** @typedef {import("./database.js").LocalDatabase} LocalDatabase */
/** @typedef {Record<string, any>} Config */

/**
 * @param {LocalDatabase} database
 * @returns {Promise<Config | null>}
 */
export async function keptConfig(database) {
  const kept = await database.run(["meta"], "readonly", (store) => value(store("meta").get(KEY)));
  return kept ?? null;
}

/**
 * @param {LocalDatabase} database
 * @param {Config} config
 */
export function keepConfig(database, config) {
  return database.run(["meta"], "readwrite", (store) => value(store("meta").put(config, KEY)));
}
