// A searchable list of models: a combobox with a listbox. There may be thousands of models, so only the rows
// near the visible ones are elements.
import { html, useId, useLayoutEffect, useMemo, useRef, useState } from "../../../preact.js";
import { groupModels, providerOf, recentModels } from "../../compose/model_groups.js";
import { wordsOf } from "../../lib/plain_letters.js";
import { isComposing } from "../../lib/input_method.js";
import { dollars } from "../../lib/money.js";
import { rowsInView, scrolledTo, topsOf } from "../../lib/row_window.js";
import { preferences } from "../../preferences.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";

const SEARCH_FROM = 6;
const EDGE_PX = 8;
const LEAST_LIST_PX = 88;
// Until the first rows are drawn and measured.
const GUESSED_PX = { heading: 32, option: 48 };
const GUESSED_VIEW = { top: 0, height: 320 };

export function ModelList({ store, selected, pick, close }) {
  const id = useId();
  const models = store.models.value;
  const hasSearch = models.length >= SEARCH_FROM;
  const [query, setQuery] = useState("");
  const groups = useGroups(store, query, hasSearch);
  const found = groups.flatMap((group) => group.models);
  const [active, setActive] = useState(() => Math.max(0, found.findIndex((model) => model.id === selected)));
  const box = useRef(null);
  useLayoutEffect(() => {
    keepInView(box.current);
    box.current.querySelector("input, [role=listbox]").focus();
  }, []);
  const move = (to) => setActive((to + found.length) % Math.max(1, found.length));
  const pin = store.user.value && hasSearch ? (model) => store.pinModel(model.id) : null;
  const onKeyDown = (event) => {
    const actions = {
      ArrowDown: () => move(active + 1),
      ArrowUp: () => move(active - 1),
      Home: () => move(0),
      End: () => move(found.length - 1),
      Enter: () => found[active] && pick(found[active].id),
      Escape: () => close(),
      Tab: () => close(),
      "Alt+KeyP": () => found[active] && pin?.(found[active]),
    };
    const action = actions[event.altKey ? `Alt+${event.code}` : event.key];
    if (!action || isComposing(event)) return;
    if (event.key !== "Tab") event.preventDefault();
    event.stopPropagation();
    action();
  };
  const search = (event) => {
    setQuery(event.currentTarget.value);
    setActive(0);
  };
  const activeId = found[active] ? `${id}-${active}` : undefined;
  return html`<div class="menu-box menu-models" ref=${box} onKeyDown=${onKeyDown}>
    ${hasSearch && html`<div class="menu-search"><${Icon} name="search" />
      <input type="text" role="combobox" aria-expanded="true" aria-controls=${id} aria-activedescendant=${activeId} aria-autocomplete="list"
        aria-label=${text.searchModels} aria-describedby=${pin ? `${id}-hint` : undefined} placeholder=${text.searchModels}
        autocomplete="off" spellcheck="false" value=${query} onInput=${search} /></div>`}
    ${pin && html`<p class="visually-hidden" id=${`${id}-hint`}>${text.pinModelHint}</p>`}
    <${Rows} id=${id} groups=${groups} active=${active} selected=${selected} models=${models} hasSearch=${hasSearch} activeId=${activeId}
      setActive=${setActive} pick=${pick} pin=${pin} query=${query} />
    ${found.length === 0 && html`<p class="meta menu-none" role="status">${text.noModelFound}</p>`}
  </div>`;
}

/** The groups to show. A short list has none but those of own keys: it is read at a glance. */
function useGroups(store, query, isLong) {
  const models = store.models.value;
  const chats = store.list.chats.value;
  const { pinned_models: pinned } = preferences.value;
  const recent = useMemo(() => recentModels(chats.values()), []);
  return useMemo(() => {
    const labels = { pinned: text.groups.pinned, recent: text.recentModels };
    const ranks = isLong ? { pinned, recent } : { pinned: [], recent: [] };
    const groups = groupModels(models, { words: wordsOf(query), labels, ...ranks });
    const isPlain = groups.length === 1 && !groups[0].models[0].own_key;
    return isPlain || !isLong ? withoutProviders(groups) : groups;
  }, [models, pinned, recent, query, isLong]);
}

const withoutProviders = (groups) => groups.map((group) => (group.models[0].own_key ? group : { ...group, label: "" }));

/** The listbox: the rows in view, between two spacers of the height of the others. */
function Rows({ id, groups, active, selected, models, hasSearch, activeId, setActive, pick, pin, query }) {
  const list = useRef(null);
  const [view, setView] = useState(GUESSED_VIEW);
  const [px, setPx] = useState(GUESSED_PX);
  const rows = useMemo(() => rowsOf(groups), [groups]);
  const tops = useMemo(() => topsOf(rows, (row) => (row.model ? px.option : px.heading)), [rows, px]);
  const look = () => setView({ top: list.current.scrollTop, height: list.current.clientHeight });
  // Rows have the heights of the style sheet, which differ by device and size of letters.
  useLayoutEffect(() => {
    const measured = { heading: heightOf(list.current, ".menu-group") ?? px.heading, option: heightOf(list.current, ".menu-option") ?? px.option };
    if (measured.heading !== px.heading || measured.option !== px.option) setPx(measured);
  });
  useLayoutEffect(() => {
    const row = rows.findIndex(({ index, model }) => model && index === active);
    if (row >= 0) list.current.scrollTop = scrolledTo(tops, active === 0 ? 0 : row, { top: list.current.scrollTop, height: list.current.clientHeight });
    look();
  }, [active, query, tops]);
  const [first, end] = rowsInView(tops, view);
  const count = rows.filter(({ model }) => model).length;
  const option = ({ model, index }) => html`<${Option} key=${model.id} id=${`${id}-${index}`} model=${model} models=${models} isActive=${index === active}
    isSelected=${model.id === selected} place=${index + 1} count=${count} pick=${pick} pin=${pin} activate=${() => index !== active && setActive(index)} />`;
  return html`<div class="menu-list" id=${id} role="listbox" tabindex=${hasSearch ? -1 : 0} aria-label=${text.chooseModel} aria-activedescendant=${activeId}
    ref=${list} onScroll=${look}>
    <div role="presentation" style=${{ height: `${tops[first]}px` }}></div>
    ${sliced(rows.slice(first, end)).map((part) => {
      if (!part.group.label) return part.options.map(option);
      return html`<div key=${part.group.label} role="group" aria-label=${part.group.label}>
        ${part.hasHeading && html`<span class="menu-group" aria-hidden="true">${part.group.label}</span>`}${part.options.map(option)}</div>`;
    })}
    <div role="presentation" style=${{ height: `${tops.at(-1) - tops[end]}px` }}></div>
  </div>`;
}

/** Each row is the heading of a group, or a model with its place among all. */
function rowsOf(groups) {
  const rows = [];
  let index = 0;
  for (const group of groups) {
    if (group.label) rows.push({ group });
    for (const model of group.models) rows.push({ group, model, index: index++ });
  }
  return rows;
}

/** Rows in parts of one group each. */
function sliced(rows) {
  const parts = [];
  for (const row of rows) {
    if (parts.at(-1)?.group !== row.group) parts.push({ group: row.group, hasHeading: false, options: [] });
    if (row.model) parts.at(-1).options.push(row);
    else parts.at(-1).hasHeading = true;
  }
  return parts;
}

function Option({ id, model, models, isActive, isSelected, place, count, pick, pin, activate }) {
  const isPinned = preferences.value.pinned_models.includes(model.id);
  const provider = providerOf(model);
  const onPin = (event) => {
    event.stopPropagation();
    pin(model);
  };
  return html`<div id=${id} role="option" class="menu-option" aria-selected=${isActive} aria-setsize=${count} aria-posinset=${place}
    onClick=${() => pick(model.id)} onPointerMove=${activate}>
    <span class="menu-option-mark" aria-hidden="true" data-provider=${provider}>${Array.from(provider)[0]?.toUpperCase()}</span>
    <span class="menu-option-name">${model.name}</span>
    <span class="meta">${describe(model, models)}</span>
    ${isPinned && html`<span class="visually-hidden">${text.groups.pinned}</span>`}
    ${pin && html`<span class=${isPinned ? "menu-pin menu-pin-on" : "menu-pin"} aria-hidden="true" title=${isPinned ? text.unpinModel : text.pinModel}
      onClick=${onPin}><${Icon} name="pin" /></span>`}
    ${isSelected && html`<${Icon} name="check" />`}
  </div>`;
}

/** The endpoint is last, because a narrow list may cut it off. */
function describe(model, models) {
  const context = model.context_tokens ? text.contextTokens(model.context_tokens) : "";
  return [model.outputs ? text.makesPictures : "", priceOf(model, models), context, model.own_key ? "" : model.endpoint].filter(Boolean).join(" · ");
}

/** The price of the model on credit. The word "free" is omitted if all models are free. */
function priceOf(model, models) {
  if (model.input_micro_usd != null) return text.modelPrice(dollars(model.input_micro_usd), dollars(model.output_micro_usd));
  return model.free && !model.own_key && models.some(({ free }) => !free) ? text.free : "";
}

const heightOf = (list, selector) => list.querySelector(selector)?.getBoundingClientRect().height;

/** Open the box upwards if there is room, else to the side with more room, and keep it within what is visible. */
export function keepInView(box) {
  const anchor = box.parentElement.getBoundingClientRect();
  const view = box.closest(".scroller")?.getBoundingClientRect() ?? { top: bottomOf(".topbar"), bottom: innerHeight };
  const above = anchor.top - view.top - EDGE_PX;
  const below = view.bottom - anchor.bottom - EDGE_PX;
  const height = box.offsetHeight + EDGE_PX;
  if (above < height && below > above) box.classList.add("menu-box-below");
  const over = height - Math.max(above, below);
  const list = box.querySelector(".menu-list");
  if (over > 0) list.style.maxHeight = `${Math.max(LEAST_LIST_PX, list.offsetHeight - over)}px`;
  keepBetweenEdges(box);
}

/** @param {string} selector */
const bottomOf = (selector) => document.querySelector(selector)?.getBoundingClientRect().bottom ?? 0;

function keepBetweenEdges(box) {
  const { right, left } = box.getBoundingClientRect();
  const over = right - document.documentElement.clientWidth + 8;
  if (over > 0) box.style.translate = `${-Math.min(over, left - 8)}px 0`;
}
