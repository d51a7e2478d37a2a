// The palette (⌘K): one field that finds chats, projects, messages, actions and models. It is a combobox with a
// listbox: the focus stays in the field, and the arrow keys move through the options.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../../../preact.js";
import { available } from "../../actions.js";
import { api } from "../../api.js";
import { shortTime } from "../../lib/format.js";
import { folded, hasAll, marked, wordsOf } from "../../lib/plain_letters.js";
import { isComposing } from "../../lib/input_method.js";
import { viewOf } from "../../list/projects.js";
import { Search } from "../../list/search.js";
import { text } from "../../text.js";
import { Dialog } from "./dialog.js";
import { Icon } from "../icons.js";
import { Keys } from "../shortcut_keys.js";

const RECENT = 6;
const TITLES = 6;
const PROJECTS = 4;
const ACTIONS = 6;
const MODELS = 5;
const search = new Search((query, signal) => api.search(query, signal));

export function Palette({ app, close }) {
  const [query, setQuery] = useState("");
  const [active, setActive] = useState(0);
  const list = useRef(null);
  const field = useRef(null);
  const sections = useSections(app, query);
  const options = sections.flatMap((section) => section.options);
  const at = Math.min(active, Math.max(0, options.length - 1));
  useEffect(() => () => search.look(""), []);
  useLayoutEffect(() => field.current.focus(), []);
  useLayoutEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [at, query]);
  const run = (option) => {
    close();
    // Run it after the focus was restored, because the option may move the focus elsewhere.
    requestAnimationFrame(() => option.run());
  };
  const type = (event) => {
    setQuery(event.currentTarget.value);
    setActive(0);
    search.look(event.currentTarget.value);
  };
  const move = (to) => options.length && setActive((to + options.length) % options.length);
  const onKeyDown = (event) => {
    if (isComposing(event)) return;
    const isAgain = event.key.toLowerCase() === "k" && (event.metaKey || event.ctrlKey);
    const steps = { ArrowDown: () => move(at + 1), ArrowUp: () => move(at - 1), PageDown: () => setActive(Math.min(at + 8, options.length - 1)), PageUp: () => setActive(Math.max(at - 8, 0)), Enter: () => options[at] && run(options[at]) };
    const step = isAgain ? close : steps[event.key];
    if (!step) return;
    event.preventDefault();
    step();
  };
  let number = 0;
  return html`<${Dialog} label=${text.search} kind="palette" close=${close}>
    <div class="palette-field"><${Icon} name="search" />
      <input type="text" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list" enterkeyhint="go"
        aria-activedescendant=${options.length ? `palette-${at}` : undefined} aria-label=${text.searchLabel} placeholder=${text.searchPlaceholder}
        autocomplete="off" autocapitalize="off" spellcheck="false" dir="auto" maxlength="500" value=${query} ref=${field} onInput=${type} onKeyDown=${onKeyDown} />
      <button type="button" class="quiet-button" aria-label=${text.close} onClick=${close}><${Icon} name="close" /></button>
    </div>
    <div class="palette-list" id="palette-list" role="listbox" aria-label=${text.searchResults} tabindex="-1" ref=${list}>
      ${sections.map((section) => html`<div role="group" aria-label=${section.name} key=${section.name}>
        <div class="palette-group" role="presentation">${section.name}</div>
        ${section.options.map((option) => {
          const mine = number++;
          return html`<${Option} key=${option.id} option=${option} id=${`palette-${mine}`} isActive=${mine === at}
            pick=${() => run(option)} point=${() => setActive(mine)} />`;
        })}
      </div>`)}
    </div>
    <${Status} state=${search.state.value} query=${query} count=${options.length} />
  </${Dialog}>`;
}

function Option({ option, id, isActive, pick, point }) {
  return html`<div class=${option.snippet ? "palette-option palette-option-tall" : "palette-option"} role="option" id=${id} aria-selected=${isActive}
    onClick=${pick} onPointerMove=${() => isActive || point()}>
    <${Icon} name=${option.icon} />
    <span class="palette-text"><span class="palette-label" dir="auto"><${Parts} parts=${option.parts} /></span>
      ${option.snippet && html`<span class="palette-snippet" dir="auto"><${Parts} parts=${option.snippet} /></span>`}</span>
    ${option.note && html`<span class="meta palette-note">${option.note}</span>`}
    ${option.keys && html`<${Keys} keys=${option.keys} />`}
  </div>`;
}

/** Text with the matches marked. Preact makes text nodes of it, so markup in it has no effect. */
function Parts({ parts }) {
  return parts.map(([part, isHit]) => (isHit ? html`<mark>${part}</mark>` : part));
}

function Status({ state, query, count }) {
  const isBusy = state.status === "searching";
  const nothing = count === 0 && !isBusy;
  const said = state.status === "failed" ? state.message : nothing ? text.nothingFound(query.trim()) : "";
  return html`<div class=${said ? "palette-status palette-status-shown" : "palette-status"} role="status">
    ${said ? html`<p>${said}</p>${nothing && state.status !== "failed" && html`<p class="meta">${text.nothingFoundHint}</p>`}` : html`<span class="visually-hidden">${isBusy ? text.searching : query ? text.resultCount(count) : ""}</span>`}
  </div>`;
}

// The options

function useSections(app, query) {
  const words = wordsOf(query);
  const sections = words.length === 0 ? atFirst(app) : matching(app, words, search.state.value);
  return sections.filter((section) => section.options.length > 0);
}

function atFirst(app) {
  const recent = app.store.list.sorted.value.filter((chat) => chat.id !== app.store.chatId.value).slice(0, RECENT);
  return [
    { name: text.recentChats, options: recent.map((chat) => chatOption(app, chat)) },
    { name: text.actionsTitle, options: actionsOf(app, []) },
  ];
}

function matching(app, words, { results }) {
  const found = results.map((result) => result.chat.id);
  const titles = app.store.list.sorted.value
    .filter((chat) => !found.includes(chat.id) && hasAll(chat.title, words))
    .slice(0, TITLES);
  const hits = results.flatMap((result) => resultOptions(app, result));
  return [
    { name: text.chats, options: titles.map((chat) => chatOption(app, chat, words)) },
    { name: text.projects, options: projectsOf(app, words) },
    { name: text.messagesTitle, options: hits },
    { name: text.actionsTitle, options: actionsOf(app, words).slice(0, ACTIONS) },
    { name: text.modelsTitle, options: modelsOf(app, words) },
  ].sort((a, b) => leads(b, words) - leads(a, words));
}

/** 1 for the actions if a label begins with the query, so that they come before messages that contain it. */
const leads = ({ name, options }, words) =>
  name === text.actionsTitle && options.some(({ parts }) => folded(parts.map(([part]) => part).join("")).letters.startsWith(words.join(" "))) ? 1 : 0;

function chatOption(app, chat, words = []) {
  return { id: `chat-${chat.id}`, icon: chat.pinned_ms ? "pin" : "chat", parts: marked(chat.title || text.untitled, words), note: shortTime(chat.updated_ms), run: () => app.store.finding.open(chat.id) };
}

function projectsOf(app, words) {
  return app.store.projects.all.value
    .filter(({ name }) => hasAll(name, words))
    .slice(0, PROJECTS)
    .map(({ id, name }) => ({ id: `project-${id}`, icon: "folder", parts: marked(name, words), run: () => app.ui.showList(viewOf(id)) }));
}

function resultOptions(app, { chat, title, messages }) {
  const note = chat.archived_ms ? text.archivedNote : null;
  const parts = title.some(([part]) => part) ? title : [[text.untitled, false]];
  if (messages.length === 0) {
    return [{ id: `chat-${chat.id}`, icon: "chat", parts, note: note ?? shortTime(chat.updated_ms), run: () => app.store.finding.open(chat.id) }];
  }
  return messages.map((message) => ({
    id: `message-${message.id}`,
    icon: message.role === "user" ? "person" : "answer",
    parts,
    snippet: message.snippet,
    note: note ?? shortTime(message.said_ms),
    run: () => app.store.finding.open(chat.id, message.id),
  }));
}

function actionsOf(app, words) {
  return available(app)
    .filter((action) => !action.isQuiet && hasAll(`${action.label()} ${action.words ?? ""}`, words))
    .map((action) => ({ id: action.id, icon: action.icon, parts: marked(action.label(), words), keys: action.keys, run: () => action.run(app) }));
}

function modelsOf(app, words) {
  const { store } = app;
  const named = ({ name, id }) => hasAll(`${name} ${id} ${text.useModel("")}`, words);
  return store.models.value
    .filter((model) => model.id !== store.model.value && named(model))
    .slice(0, MODELS)
    .map((model) => ({ id: `model-${model.id}`, icon: "again", parts: [[text.useModel(model.name), false]], note: model.endpoint, run: () => store.pickModel(model.id) }));
}
