// The actions of a message are one stop of the Tab key, because a long chat has hundreds of them. The arrow keys,
// Home and End move among them (the toolbar pattern of the ARIA Authoring Practices).
import { html, useLayoutEffect, useRef } from "../../../../preact.js";
import { spoken } from "../../../lib/format.js";
import { isComposing } from "../../../lib/input_method.js";

const own = spoken("toolbar", { name: "Message actions" });
const ACTIONS = "button:not(:disabled), summary";
// Its keys are its own.
const MENU = ".menu-box";

export function Toolbar({ isInert, children }) {
  const root = useRef(null);
  useLayoutEffect(() => keepOneTabStop(root.current), []);
  return html`<div class="message-foot" role="toolbar" aria-label=${own.name} inert=${isInert} ref=${root}
    onKeyDown=${moveFocus}>${children}</div>`;
}

function actionsOf(toolbar) {
  return [...toolbar.querySelectorAll(ACTIONS)].filter((action) => !action.closest(MENU));
}

/**
 * Only one action can be reached with Tab: the one that had the focus last, else the first. Returns a function that
 * ends this.
 */
function keepOneTabStop(toolbar) {
  let place = 0;
  let current = null;
  const mark = () => {
    const actions = actionsOf(toolbar);
    // The actions change, for example when a message gets a second version.
    if (actions.includes(current)) place = actions.indexOf(current);
    else current = actions[(place = Math.max(0, Math.min(place, actions.length - 1)))];
    for (const action of actions) {
      const tabIndex = action === current ? 0 : -1;
      if (action.getAttribute("tabindex") !== String(tabIndex)) action.tabIndex = tabIndex;
    }
  };
  const onFocusIn = ({ target }) => {
    if (!actionsOf(toolbar).includes(target)) return;
    current = target;
    mark();
  };
  const observer = new MutationObserver(mark);
  observer.observe(toolbar, { childList: true, subtree: true, attributeFilter: ["disabled"] });
  toolbar.addEventListener("focusin", onFocusIn);
  mark();
  return () => {
    observer.disconnect();
    toolbar.removeEventListener("focusin", onFocusIn);
  };
}

function moveFocus(event) {
  if (isComposing(event) || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = actionsOf(event.currentTarget);
  const place = actions.indexOf(event.target);
  if (place < 0) return;
  const onwards = getComputedStyle(event.currentTarget).direction === "rtl" ? -1 : 1;
  const places = { ArrowRight: place + onwards, ArrowLeft: place - onwards, Home: 0, End: actions.length - 1 };
  if (!Object.hasOwn(places, event.key)) return;
  event.preventDefault();
  actions.at(places[event.key] % actions.length).focus();
}
