// Recognises keys that belong to an input method (Japanese, Chinese, Korean, ...) and are not shortcuts.

/**
 * Whether an input method takes this key. Chrome and Firefox say `isComposing`. In Safari the
 * composition is over when the Enter that ended it arrives, but its key code is still 229.
 * @param {KeyboardEvent} event
 */
export const isComposing = (event) => event.isComposing || event.keyCode === 229;
