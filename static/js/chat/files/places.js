// Where files are attached: in the composer of a chat or of a new one, in a message that is edited, or in a message
// that is not sent yet.
import { NEW_TEMPORARY } from "../local/draft_store.js";

const NEW = "new";
const EDIT = "edit:";
const MESSAGE = "message:";

/** @param {string | null} draft the place of the draft (drafts.js) */
export const composerPlace = (draft) => draft ?? NEW;
/** @param {string} message */
export const editPlace = (message) => EDIT + message;
/** @param {string} message in the send queue */
export const messagePlace = (message) => MESSAGE + message;

/**
 * The message of the send queue that a place belongs to, or null.
 * @param {string} place
 */
export const messageOf = (place) => (place.startsWith(MESSAGE) ? place.slice(MESSAGE.length) : null);

/**
 * Whether files of the place stay in this page: nothing else would ever ask for those of an edit, and nothing of a
 * temporary chat is stored.
 * @param {string} place
 */
export const isOfPage = (place) => place === NEW_TEMPORARY || place.startsWith(EDIT);
