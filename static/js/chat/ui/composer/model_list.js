// A searchable list of models: a combobox with a listbox.
import { html, useId, useLayoutEffect, useRef, useState } from "../../../preact.js";
import { hasAll, wordsOf } from "../../lib/plain_letters.js";
import { isComposing } from "../../lib/input_method.js";
import { dollars } from "../../lib/money.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";

const SEARCH_FROM = 6;
const EDGE_PX = 8;
const LEAST_LIST_PX = 88;
const MOST_SHOWN = 300; // there may be thousands; the others are found by searching

export function ModelList({ models, selected, pick, close }) {
  const id = useId();
  const [query, setQuery] = useState("");
  const all = withinReach(models, selected);
  const [active, setActive] = useState(Math.max(0, all.findIndex((model) => model.id === selected)));
  const box = useRef(null);
  const words = wordsOf(query);
  const matching = all.filter((model) => hasAll(`${model.name} ${model.id} ${model.endpoint}`, words));
  const found = matching.slice(0, MOST_SHOWN);
  useLayoutEffect(() => {
    keepInView(box.current);
    box.current.querySelector("input, [role=listbox]").focus();
  }, []);
  useLayoutEffect(() => {
    box.current.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [active, query]);
  const move = (to) => setActive((to + found.length) % Math.max(1, found.length));
  const onKeyDown = (event) => {
    const actions = {
      ArrowDown: () => move(active + 1),
      ArrowUp: () => move(active - 1),
      Home: () => move(0),
      End: () => move(found.length - 1),
      Enter: () => found[active] && pick(found[active].id),
      Escape: () => close(),
      Tab: () => close(),
    };
    const action = actions[event.key];
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
  const hasSearch = models.length >= SEARCH_FROM;
  return html`<div class="menu-box" ref=${box} onKeyDown=${onKeyDown}>
    ${hasSearch && html`<div class="menu-search"><${Icon} name="search" />
      <input type="text" role="combobox" aria-expanded="true" aria-controls=${id} aria-activedescendant=${activeId}
        aria-label=${text.searchModels} placeholder=${text.searchModels} autocomplete="off" spellcheck="false" value=${query} onInput=${search} /></div>`}
    <div class="menu-list" id=${id} role="listbox" tabindex=${hasSearch ? -1 : 0} aria-label=${text.chooseModel} aria-activedescendant=${activeId}>
      ${groupsOf(found).map((group) => {
        const options = group.models.map(({ model, index }) => html`<div key=${model.id} id=${`${id}-${index}`} role="option" class="menu-option"
          aria-selected=${index === active} onClick=${() => pick(model.id)} onPointerMove=${() => setActive(index)}>
          <span class="menu-option-name">${model.name}</span>
          <span class="meta">${describe(model, models)}</span>
          ${model.id === selected && html`<${Icon} name="check" />`}
        </div>`);
        if (!group.label) return options;
        return html`<div key=${group.label} role="group" aria-label=${group.label}>
          <span class="menu-group" aria-hidden="true">${group.label}</span>${options}</div>`;
      })}
    </div>
    ${matching.length > found.length && html`<p class="meta menu-none" role="status">${text.moreModels(matching.length - found.length)}</p>`}
    ${found.length === 0 && html`<p class="meta menu-none" role="status">${text.noModelFound}</p>`}
  </div>`;
}

/** `models`, with the chosen one moved to the front if it would not be shown. */
function withinReach(models, selected) {
  const place = models.findIndex((model) => model.id === selected);
  return place < MOST_SHOWN ? models : [models[place], ...models.toSpliced(place, 1)];
}

/** The models in the given order, those of an own key grouped under the name of the key. */
function groupsOf(models) {
  const groups = [];
  models.forEach((model, index) => {
    const label = model.own_key ? model.endpoint : "";
    if (groups.at(-1)?.label !== label) groups.push({ label, models: [] });
    groups.at(-1).models.push({ model, index });
  });
  return groups;
}

function describe(model, models) {
  const context = model.context_tokens ? text.contextTokens(model.context_tokens) : "";
  return [model.own_key ? "" : model.endpoint, priceOf(model, models), context].filter(Boolean).join(" · ");
}

/** What credit pays for the model. The word "free" is omitted if all models are free. */
function priceOf(model, models) {
  if (model.input_micro_usd != null) return text.modelPrice(dollars(model.input_micro_usd), dollars(model.output_micro_usd));
  return model.free && !model.own_key && models.some(({ free }) => !free) ? text.free : "";
}

/** Open the box upwards if there is room, else to the side with more room, and keep it within what is visible. */
function keepInView(box) {
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
