// Gives the focus a new place when the element that has it goes away: a browser would leave it on <body>, where
// keys do nothing and a screen reader begins again at the top.

const FOCUSABLE = "a[href], button:not([disabled]), textarea, input, summary, [tabindex='0']";

/**
 * Watch the page below `root` from now on.
 * @param {HTMLElement} root
 */
export function keepFocus(root) {
  /** @type {Element | null} the element that had the focus last, unless the person took it away */
  let last = null;
  /** @type {(Element | null)[]} where to look for another one, best first */
  let places = [];
  let isAsked = false;
  document.addEventListener("focusin", ({ target }) => {
    last = /** @type {Element} */ (target);
    places = placesNear(last);
  });
  // With a click beside all controls. When an element goes away, this may also be called, before it has gone.
  document.addEventListener("focusout", ({ target, relatedTarget }) => {
    if (!relatedTarget) queueMicrotask(() => last && target === last && !isGone(last) && (last = null));
  });
  const check = () => {
    isAsked = false;
    if (!last || !isGone(last) || canHold(document.activeElement)) return;
    last = null;
    const next = places.filter((place) => place?.isConnected).map(firstIn).find(canHold) ?? fallback(root);
    next?.focus({ preventScroll: true });
  };
  new MutationObserver(() => {
    if (isAsked || !last) return;
    isAsked = true;
    requestAnimationFrame(check);
  }).observe(document.body, { childList: true, subtree: true, attributeFilter: ["disabled"] });
}

/** @param {Element} element */
function placesNear(element) {
  const row = element.closest("li");
  return [element.closest("dialog, [role='toolbar']"), ...(row?.closest(".sidebar") ? [row.nextElementSibling, row.previousElementSibling] : [])];
}

/** @param {Element | null} place */
const firstIn = (place) => /** @type {HTMLElement | null} */ (place?.querySelector(FOCUSABLE) ?? null);

/**
 * An element that is inert for a while, such as the list on a page that becomes narrow, is not gone.
 * @param {Element} element
 */
const isGone = (element) => !element.isConnected || /** @type {HTMLButtonElement} */ (element).disabled;

/** @param {Element | null} element */
function canHold(element) {
  if (!element?.isConnected || element === document.body) return false;
  return !(/** @type {HTMLButtonElement} */ (element).disabled || element.closest("[inert]"));
}

/**
 * The composer, or the chat where a touch screen would show its keyboard.
 * @param {HTMLElement} root
 */
function fallback(root) {
  const field = /** @type {HTMLElement | null} */ (root.querySelector(".composer-field"));
  const chat = /** @type {HTMLElement | null} */ (root.querySelector("main"));
  return matchMedia("(hover: hover)").matches ? field ?? chat : chat;
}
