// The list of chats in groups. A long group is drawn in blocks. A block is drawn again only if a chat in it
// has changed, and the browser does not lay it out outside the viewport.
import { Component, html, useEffect, useRef } from "../../../preact.js";
import { today } from "../../list/clock.js";
import { recencyGroup } from "../../lib/format.js";
import { text } from "../../text.js";
import { ChatRow } from "./chat_row.js";

const BLOCK = 50;

export function ChatGroups({ store, go }) {
  const { finding } = store;
  const chats = finding.shown.value;
  const groups = finding.view.value === "open" ? byRecency(chats, today.value) : [[null, chats]];
  return html`${groups.map(([name, group]) => html`<section key=${name ?? ""}>
      ${name && html`<h2>${name}</h2>`}
      ${blocks(group).map((block) => html`<${Block} key=${block[0].id} store=${store} chats=${block} go=${go} />`)}
    </section>`)}
    ${finding.hasMore.value && html`<${More} key=${chats.length} finding=${finding} />`}`;
}

function byRecency(chats, nowMs) {
  const pinned = chats.filter((chat) => chat.pinned_ms).sort((a, b) => b.pinned_ms - a.pinned_ms);
  const groups = new Map(pinned.length ? [[text.groups.pinned, pinned]] : []);
  for (const chat of chats) {
    if (chat.pinned_ms) continue;
    const name = recencyGroup(chat.updated_ms, nowMs, text.groups);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(chat);
  }
  return [...groups];
}

function blocks(chats) {
  const found = [];
  for (let start = 0; start < chats.length; start += BLOCK) found.push(chats.slice(start, start + BLOCK));
  return found;
}

class Block extends Component {
  shouldComponentUpdate({ chats }) {
    const before = this.props.chats;
    return chats.length !== before.length || chats.some((chat, at) => chat !== before[at]);
  }

  render({ store, chats, go }) {
    return html`<ul class=${chats.length === BLOCK ? "chat-block" : ""}>
      ${chats.map((chat) => html`<${ChatRow} key=${chat.id} store=${store} chat=${chat} go=${go} />`)}
    </ul>`;
  }
}

/** Loads the next page when the end of the list comes near. */
function More({ finding }) {
  const mark = useRef(null);
  useEffect(() => {
    const seen = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && finding.loadMore(), { rootMargin: "400px" });
    seen.observe(mark.current);
    return () => seen.disconnect();
  }, []);
  return html`<div class="chat-more-rows" ref=${mark} role="status" aria-label=${text.loadingChats}>
    <div class="skeleton-row"></div><div class="skeleton-row"></div><div class="skeleton-row"></div></div>`;
}
