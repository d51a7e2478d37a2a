import assert from "node:assert/strict";
import { test } from "node:test";
import { ReadingPlaces } from "../../../static/js/chat/reading_places.js";

/** A tab: its history and its storage, which outlive the pages in it. */
class Tab {
  entries = [null];
  at = 0;
  kept = new Map();

  get state() {
    return this.entries[this.at];
  }

  pushState(state) {
    this.entries = [...this.entries.slice(0, ++this.at), state];
  }

  replaceState(state) {
    this.entries[this.at] = state;
  }

  storage = () => ({ getItem: (key) => this.kept.get(key) ?? null, setItem: (key, value) => this.kept.set(key, value) });

  page(chat, options = {}) {
    const places = new ReadingPlaces({ history: this, storage: this.storage, ...options });
    places.enter(chat);
    return places;
  }
}

const A = { id: "m-1", below: 12, part: 0, width: 900 };
const B = { id: "m-2", below: -80, part: 0.25, width: 900 };

test("back and forward lead to where each entry was read", () => {
  const tab = new Tab();
  const places = tab.page("a");
  places.readBy(() => A);
  places.leave("a");
  places.push("/c/b");
  places.readBy(() => B);
  tab.at -= 1;
  places.traverse("b", "a");
  assert.deepEqual(places.wanted.value, { ...A, chat: "a" });
  places.arrived();
  places.readBy(() => A);
  tab.at += 1;
  places.traverse("a", "b");
  assert.deepEqual(places.wanted.value, { ...B, chat: "b" });
});

test("a page that is loaded again goes to the same place; a new visit of the chat does not", () => {
  const tab = new Tab();
  const before = tab.page("a");
  before.readBy(() => A);
  before.leave("a");
  assert.deepEqual(tab.page("a").wanted.value, { ...A, chat: "a" });
  const places = tab.page("a");
  places.arrived();
  places.push("/c/a");
  assert.equal(places.wanted.value, null);
});

test("the pixels by which a browser rounds do not add up, and what a reader scrolls counts", () => {
  const tab = new Tab();
  for (const offPx of [0, -0.5, -1, 0.5]) {
    const places = tab.page("a");
    if (offPx !== 0) assert.deepEqual(places.wanted.value, { ...A, chat: "a" });
    places.arrived();
    places.readBy(() => ({ ...A, below: A.below + offPx }));
    places.leave("a");
  }
  const scrolled = { ...A, below: A.below - 2 };
  const places = tab.page("a");
  places.arrived();
  places.readBy(() => scrolled);
  places.leave("a");
  assert.deepEqual(tab.page("a").wanted.value, { ...scrolled, chat: "a" });
});

test("whoever was at the end follows it", () => {
  const tab = new Tab();
  const places = tab.page("a");
  places.readBy(() => A);
  places.leave("a");
  places.readBy(() => null);
  places.leave("a");
  assert.equal(tab.page("a").wanted.value, null);
});

test("a page that is left before the place is reached still means it", () => {
  const tab = new Tab();
  const places = tab.page("a");
  places.readBy(() => A);
  places.leave("a");
  const again = tab.page("a");
  again.readBy(() => null);
  again.leave("a");
  assert.deepEqual(tab.page("a").wanted.value, { ...A, chat: "a" });
});

test("an entry that shows another chat by now, or none, has no place", () => {
  const tab = new Tab();
  const places = tab.page("a");
  places.readBy(() => A);
  places.leave("a");
  assert.equal(tab.page("b").wanted.value, null);
  assert.equal(tab.page(null).wanted.value, null);
});

test("it keeps a bounded number, the latest", () => {
  const tab = new Tab();
  const places = tab.page("a");
  for (let n = 0; n < 60; n++) {
    places.readBy(() => ({ id: `m-${n}`, below: n }));
    places.leave("a");
    places.push("/c/a");
  }
  assert.equal(JSON.parse(tab.kept.get("holdfast:places")).length, 50);
  tab.at = 59;
  places.enter("a");
  assert.equal(places.wanted.value.id, "m-59");
  tab.at = 3;
  places.enter("a");
  assert.equal(places.wanted.value, null);
});

test("without storage, or with rubbish in it, it works for as long as the page is there", () => {
  const denied = () => {
    throw new Error("denied");
  };
  for (const storage of [denied, () => ({ getItem: () => "{", setItem: denied }), () => ({ getItem: () => "[1]", setItem: denied })]) {
    const tab = new Tab();
    const places = tab.page("a", { storage });
    places.readBy(() => A);
    places.leave("a");
    places.push("/c/b");
    tab.at -= 1;
    places.traverse("b", "a");
    assert.deepEqual(places.wanted.value, { ...A, chat: "a" });
  }
});

test("what is kept goes when the person signs out", () => {
  const tab = new Tab();
  const places = tab.page("a");
  places.readBy(() => A);
  places.leave("a");
  places.forget();
  assert.equal(tab.kept.get("holdfast:places"), "[]");
});
