// Times as the person has set them, and the letters that stand for a person.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clockTime, fullTime, initials, recencyGroup, setLocale } from "../../static/js/chat/format.js";

const groups = { today: "today", yesterday: "yesterday", week: "week", month: "month" };
const HOUR_MS = 3_600_000;
const noon = Date.UTC(2026, 10, 21, 12);

test("clock times are in the chosen zone and language", () => {
  setLocale({ language: "en-GB", timeZone: "Asia/Kathmandu" });
  assert.equal(clockTime(noon), "17:45");
  setLocale({ language: "de", timeZone: "UTC" });
  assert.equal(clockTime(noon), "12:00");
  assert.match(fullTime(noon), /21\.11\.2026/);
});

test("a day begins at midnight of the chosen zone", () => {
  setLocale({ language: "en", timeZone: "Pacific/Auckland" }); // UTC+13: it is one in the morning.
  assert.equal(recencyGroup(noon - HOUR_MS / 2, noon, groups), "today");
  assert.equal(recencyGroup(noon - 2 * HOUR_MS, noon, groups), "yesterday");
  setLocale({ language: "en", timeZone: "UTC" });
  assert.equal(recencyGroup(noon - 2 * HOUR_MS, noon, groups), "today");
  assert.equal(recencyGroup(noon - 7 * 24 * HOUR_MS, noon, groups), "week");
  assert.equal(recencyGroup(noon - 30 * 24 * HOUR_MS, noon, groups), "month");
  assert.equal(recencyGroup(noon - 50 * 24 * HOUR_MS, noon, groups), "October 2026");
  assert.equal(recencyGroup(noon + HOUR_MS, noon, groups), "today");
});

test("a day is a day where clocks are changed", () => {
  setLocale({ language: "en", timeZone: "Europe/Berlin" });
  const afterChange = Date.UTC(2026, 2, 29, 20); // 22:00, the day that has 23 hours.
  assert.equal(recencyGroup(Date.UTC(2026, 2, 28, 22, 30), afterChange, groups), "yesterday");
  assert.equal(recencyGroup(Date.UTC(2026, 2, 28, 23, 30), afterChange, groups), "today");
});

test("initials are of the first and the last name, else of the address", () => {
  assert.equal(initials({ name: "Ada King Lovelace", email: "x@example.org" }), "AL");
  assert.equal(initials({ name: " ada ", email: null }), "A");
  assert.equal(initials({ name: "", email: "bob@example.org" }), "B");
  assert.equal(initials({ name: "𝔸da 🌊", email: null }), "𝔸🌊");
  assert.equal(initials({}), "");
});
