// Tells keys that belong to an input method (Japanese, Chinese, Korean, ...), which are no shortcuts.

/**
 * Whether an input method takes this key. Chrome and Firefox say `isComposing`. In Safari the
 * composition has ended by the time the Enter that ended it arrives: its key code, 229, still tells.
 * @param {KeyboardEvent} event
 */
export const isComposing = (event) => event.isComposing || event.keyCode === 229;
