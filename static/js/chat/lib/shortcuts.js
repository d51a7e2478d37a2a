// Keys as written in the registry of actions ("mod+shift+o", "alt+ArrowUp", "?"): matches them with events,
// formats them for people, and recognises keys that are typing and not a command.
import { isComposing } from "./input_method.js";

const IS_APPLE = /mac|iphone|ipad/i.test(globalThis.navigator?.platform ?? "");
/** @type {Record<string, string>} */
const NAMES = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", Backspace: IS_APPLE ? "⌫" : "Backspace" };
const MODIFIERS = IS_APPLE ? { mod: "⌘", shift: "⇧", alt: "⌥" } : { mod: "Ctrl", shift: "Shift", alt: "Alt" };

/** @param {string} keys */
function parse(keys) {
  const parts = keys.split("+");
  return { key: parts.at(-1) ?? "", mod: parts.includes("mod"), shift: parts.includes("shift"), alt: parts.includes("alt") };
}

/**
 * Whether a key press is this combination. A character ("?") matches with or without Shift.
 * @param {KeyboardEvent} event
 * @param {string} keys
 */
export function isPressed(event, keys, isApple = IS_APPLE) {
  const { key, mod, shift, alt } = parse(keys);
  const hasMod = isApple ? event.metaKey && !event.ctrlKey : event.ctrlKey && !event.metaKey;
  if (mod ? !hasMod : event.ctrlKey || event.metaKey) return false;
  if (event.altKey !== alt) return false;
  if (isCharacter(keys)) return event.key === key;
  if (event.shiftKey !== shift) return false;
  // With Alt a letter key may type another character, so its physical position counts, too.
  return event.key.toLowerCase() === key.toLowerCase() || event.code === `Key${key.toUpperCase()}`;
}

/**
 * Whether the shortcut is a single character. WCAG requires that such shortcuts can be turned off.
 * @param {string} keys
 */
export const isCharacter = (keys) => keys.length === 1;

/**
 * The names on the keys, for <kbd>.
 * @param {string} keys
 */
export function keyNames(keys) {
  const { key, mod, shift, alt } = parse(keys);
  const held = [mod && MODIFIERS.mod, alt && MODIFIERS.alt, shift && MODIFIERS.shift].filter(Boolean);
  return [...held, NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key)];
}

/**
 * The value for aria-keyshortcuts.
 * @param {string} keys
 */
export function ariaKeys(keys) {
  const { key, mod, shift, alt } = parse(keys);
  return [mod && (IS_APPLE ? "Meta" : "Control"), alt && "Alt", shift && "Shift", key].filter(Boolean).join("+");
}

/**
 * Whether the key is pressed in a field or belongs to an input method.
 * @param {KeyboardEvent} event
 */
export function isTyping(event) {
  if (isComposing(event)) return true;
  const target = /** @type {Element | null} */ (event.composedPath?.()[0] ?? event.target);
  return Boolean(target?.closest?.("input, textarea, select, [contenteditable]:not([contenteditable='false'])"));
}
