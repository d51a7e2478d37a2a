// The menu of one chat of the list. It is in the top layer, so that nothing clips it.
import { html, useEffect, useLayoutEffect, useRef } from "../../../preact.js";
import { spoken } from "../../lib/format.js";
import { isComposing } from "../../lib/input_method.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";

const GAP_PX = 4;

const own = spoken("rows", { move: "Move to a project…" });

/** @param items [{label, icon, run, isDanger}] @param anchor the button it belongs to */
export function RowMenu({ label, items, anchor, close }) {
  const box = useRef(null);
  useLayoutEffect(() => {
    box.current.showPopover();
    place(box.current, anchor);
    box.current.querySelector("[role=menuitem]").focus();
  }, []);
  useEffect(() => {
    const menu = box.current;
    // The target of a resize event is the window, which is not a node.
    const isIn = (node) => node instanceof Node && (menu.contains(node) || anchor.contains(node));
    const outside = (event) => isIn(event.target) || close({ refocus: false });
    const events = ["pointerdown", "focusin", "scroll", "resize"];
    for (const name of events) window.addEventListener(name, outside, true);
    return () => events.forEach((name) => window.removeEventListener(name, outside, true));
  }, []);
  const onKeyDown = (event) => {
    const options = [...box.current.querySelectorAll("[role=menuitem]")];
    const at = options.indexOf(document.activeElement);
    const steps = {
      ArrowDown: () => options[(at + 1) % options.length].focus(),
      ArrowUp: () => options[(at - 1 + options.length) % options.length].focus(),
      Home: () => options[0].focus(),
      End: () => options.at(-1).focus(),
      Escape: () => close({ refocus: true }),
      Tab: () => close({ refocus: true }),
    };
    if (!steps[event.key] || isComposing(event)) return;
    event.preventDefault();
    event.stopPropagation();
    steps[event.key]();
  };
  const pick = (item) => {
    close({ refocus: true });
    item.run();
  };
  return html`<div class="row-menu" popover="manual" role="menu" aria-label=${label} ref=${box} onKeyDown=${onKeyDown}>
    ${items.map((item) => html`<button type="button" key=${item.label} role="menuitem" tabindex="-1"
      class=${item.isDanger ? "row-menu-item row-menu-danger" : "row-menu-item"} onClick=${() => pick(item)}><${Icon} name=${item.icon} />${item.label}</button>`)}
  </div>`;
}

function place(box, anchor) {
  const at = anchor.getBoundingClientRect();
  const { width, height } = box.getBoundingClientRect();
  const below = at.bottom + GAP_PX;
  const top = below + height > innerHeight ? Math.max(GAP_PX, at.top - height - GAP_PX) : below;
  const isRtl = getComputedStyle(anchor).direction === "rtl";
  const left = isRtl ? at.right - width : at.left;
  box.style.top = `${top}px`;
  box.style.left = `${Math.max(GAP_PX, Math.min(left, innerWidth - width - GAP_PX))}px`;
}

/** The menu items for the current state of a chat. */
export function rowItems({ finding, projects }, chat) {
  if (chat.deleted_ms) return [{ label: text.restore, icon: "again", run: () => finding.restore(chat.id) }];
  return [
    { label: text.rename, icon: "pencil", run: () => (finding.renaming.value = chat.id) },
    { label: chat.pinned_ms ? text.unpin : text.pin, icon: "pin", run: () => finding.pin(chat.id, !chat.pinned_ms) },
    { label: chat.archived_ms ? text.unarchive : text.archive, icon: "archive", run: () => finding.archive(chat.id, !chat.archived_ms) },
    { label: own.move, icon: "folder", run: () => projects.chooseFor(chat.id) },
    { label: text.exportMarkdown, icon: "download", run: () => finding.exportAs(chat.id, "md") },
    { label: text.exportJson, icon: "download", run: () => finding.exportAs(chat.id, "json") },
    { label: text.print, icon: "printer", run: () => finding.print(chat.id) },
    { label: text.remove, icon: "trash", isDanger: true, run: () => finding.remove(chat.id) },
  ];
}
