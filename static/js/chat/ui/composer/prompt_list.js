// The saved prompts that match what is written after a "/" at the start of a message. The focus stays in the field:
// the list is a listbox that the field controls.
import { html, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "../../../preact.js";
import { signal } from "../../../signals.js";
import { api } from "../../api.js";
import { spoken } from "../../lib/format.js";
import { isComposing } from "../../lib/input_method.js";
import { hasAll, wordsOf } from "../../lib/plain_letters.js";
import { keepInView } from "./model_list.js";

const own = spoken("prompts", {
  name: "Saved prompts",
  edit: "Edit your saved prompts",
  add: "Add a prompt",
  none: "You have no saved prompts yet.",
  unreachable: "Your saved prompts cannot be reached right now.",
  found: { one: "{count} saved prompt. Enter puts it into the message.", other: "{count} saved prompts. Enter puts one into the message." },
});
// The name under which this browser keeps the prompts that it saw last, for use without the network.
const KEPT = "prompts";
const BOX = "prompt-box";
const EXCERPT_CHARS = 160;

/** {person, prompts}: what is known of whose prompts. */
const known = signal(null);
const isUnreachable = signal(false);

/**
 * @param keys a ref that gets the handler of the field's keys, which returns whether it took the key
 * @param close ends the search
 */
export function PromptList({ store, field, draft, query, keys, close }) {
  const pick = ({ text: content }) => {
    close();
    draft.put({ text: content, pastes: draft.pastes });
    field.current.focus();
    field.current.setSelectionRange(content.length, content.length);
  };
  const id = useId();
  const box = useRef(null);
  const prompts = useSavedPrompts(store);
  const found = useMemo(() => matching(prompts ?? [], query), [prompts, query]);
  const [active, setActive] = useState(0);
  useLayoutEffect(() => setActive(0), [query]);
  const [isClosed, setClosed] = useState(false);
  const hasFocus = useHasFocus(field);
  const isOpen = hasFocus && !isClosed;
  const hasOptions = isOpen && found.length > 0;
  const chosen = found[Math.min(active, found.length - 1)];
  useFieldControls(field, hasOptions ? { list: id, option: `${id}-${found.indexOf(chosen)}` } : null);
  keys.current = (event) => {
    if (isComposing(event) || !isOpen || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return false;
    const step = (by) => setActive((found.indexOf(chosen) + by + found.length) % found.length);
    const onOptions = { ArrowDown: () => step(1), ArrowUp: () => step(-1), Enter: () => pick(chosen), Tab: () => pick(chosen) };
    const act = event.key === "Escape" ? () => setClosed(true) : hasOptions && onOptions[event.key];
    if (!act) return false;
    event.preventDefault();
    act();
    return true;
  };
  useEffect(() => () => (keys.current = null), []);
  useLayoutEffect(() => box.current && keepInView(box.current), [hasOptions]);
  useLayoutEffect(() => box.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [chosen]);
  if (!isOpen) return null;
  if (!hasOptions) return html`<${Note} prompts=${prompts} query=${query} />`;
  return html`<div class=${`menu-box ${BOX}`} ref=${box} onMouseDown=${keepFocus}>
    <div class="menu-list" role="listbox" id=${id} aria-label=${own.name}>
      ${found.map((prompt, index) => html`<div key=${prompt.id} id=${`${id}-${index}`} role="option" class="menu-option" aria-selected=${prompt === chosen}
        onClick=${() => pick(prompt)} onPointerMove=${() => index !== active && setActive(index)}>
        <span class="menu-option-name" dir="auto">${prompt.title}</span><span class="meta" dir="auto">${excerpt(prompt.text)}</span>
      </div>`)}
    </div>
    <a class="prompt-edit meta" href="/settings/prompts">${own.edit}</a>
    <p class="visually-hidden" role="status">${own.found(found.length)}</p>
  </div>`;
}

/** What there is to say instead of a list: only about a lone "/", because a message may begin with one. */
function Note({ prompts, query }) {
  if (query || (prompts === null && !isUnreachable.value)) return null;
  const note = prompts === null
    ? own.unreachable
    : html`${own.none} <a class="link-button" href="/settings/prompts/new">${own.add}</a>`;
  return html`<div class=${`menu-box ${BOX}`} onMouseDown=${keepFocus}><p class="prompt-note meta" role="status">${note}</p></div>`;
}

/** A press on the list would take the focus from the field. */
const keepFocus = (event) => event.preventDefault();

const excerpt = (content) => content.slice(0, EXCERPT_CHARS).replaceAll(/\s+/g, " ").trim();

/** The prompts whose title has all words of the query; those whose title begins with it come first. */
function matching(prompts, query) {
  const words = wordsOf(query);
  const begins = ({ title }) => hasAll(title.slice(0, query.trim().length), words);
  const found = prompts.filter(({ title }) => hasAll(title, words));
  return [...found.filter(begins), ...found.filter((prompt) => !begins(prompt))];
}

/** The person's prompts, or null while they are unknown: those known here at once, then those that the server has now. */
function useSavedPrompts(store) {
  const person = store.user.value?.id;
  useEffect(() => void refresh(store, person), [person]);
  return known.value?.person === person ? known.value.prompts : null;
}

async function refresh(store, person) {
  isUnreachable.value = false;
  const kept = known.peek()?.person === person ? null : await store.own.kept(KEPT);
  if (kept) known.value = { person, prompts: kept };
  try {
    const { prompts } = await api.prompts(person);
    known.value = { person, prompts };
    store.own.keep(KEPT, prompts);
  } catch {
    isUnreachable.value = true;
  }
}

/** Whether the field has the focus, or a link of the list. */
function useHasFocus(field) {
  const [hasFocus, setFocus] = useState(document.activeElement === field.current);
  useEffect(() => {
    const follow = ({ type, target, relatedTarget }) => {
      const focused = type === "focusin" ? target : relatedTarget;
      setFocus(focused !== null && (focused === field.current || focused.closest(`.${BOX}`) !== null));
    };
    const events = ["focusin", "focusout"];
    for (const event of events) document.addEventListener(event, follow);
    return () => events.forEach((event) => document.removeEventListener(event, follow));
  }, []);
  return hasFocus;
}

/** Tell a screen reader which option the field's keys have chosen. */
function useFieldControls(field, controlled) {
  useLayoutEffect(() => {
    const attributes = { "aria-autocomplete": "list", "aria-haspopup": "listbox", "aria-controls": controlled?.list, "aria-activedescendant": controlled?.option };
    for (const [name, value] of Object.entries(attributes)) {
      if (controlled) field.current.setAttribute(name, value);
      else field.current.removeAttribute(name);
    }
  }, [controlled?.option]);
  useLayoutEffect(() => {
    const { current } = field;
    return () => ["aria-autocomplete", "aria-haspopup", "aria-controls", "aria-activedescendant"].forEach((name) => current.removeAttribute(name));
  }, []);
}
