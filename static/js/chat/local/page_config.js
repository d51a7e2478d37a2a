// The last page's own words (who one is, the models, the list of chats), for when the page comes
// from the shell. Kept under its owner like everything else.
import { value } from "./database.js";

const KEY = "config";

export async function keptConfig(database) {
  const kept = await database.run(["meta"], "readonly", (store) => value(store("meta").get(KEY)));
  return kept ?? null;
}

export function keepConfig(database, config) {
  return database.run(["meta"], "readwrite", (store) => value(store("meta").put(config, KEY)));
}
