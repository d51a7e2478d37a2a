// Times in the person's format, and a person's initials.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clockTime, dayName, fullTime, initials, inSentence, isSameDay, longDate, number, recencyGroup, setLocale, shortTime } from "../../../static/js/chat/lib/format.js";

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

test("the days between messages are named in the person's zone", () => {
  setLocale({ language: "en-GB", timeZone: "Pacific/Auckland" }); // UTC+13: it is one in the morning.
  assert.equal(dayName(noon - HOUR_MS / 2, noon, groups), "today");
  assert.equal(dayName(noon - 2 * HOUR_MS, noon, groups), "yesterday");
  assert.equal(dayName(noon - 30 * HOUR_MS, noon, groups), "20 November");
  assert.equal(dayName(noon - 365 * 24 * HOUR_MS, noon, groups), "22 November 2025");
  assert.ok(isSameDay(noon, noon - HOUR_MS / 2));
  assert.ok(!isSameDay(noon, noon - 2 * HOUR_MS));
});

test("a day is a day where clocks are changed", () => {
  setLocale({ language: "en", timeZone: "Europe/Berlin" });
  const afterChange = Date.UTC(2026, 2, 29, 20); // 22:00, the day that has 23 hours.
  assert.equal(recencyGroup(Date.UTC(2026, 2, 28, 22, 30), afterChange, groups), "yesterday");
  assert.equal(recencyGroup(Date.UTC(2026, 2, 28, 23, 30), afterChange, groups), "today");
});

const ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati", "Asia/Kathmandu"];

test("formatters are made once, and say what fresh ones say, whichever zone and language comes next", () => {
  const { DateTimeFormat } = Intl;
  let made = 0;
  Intl.DateTimeFormat = class extends DateTimeFormat {
    static name = "DateTimeFormat";

    constructor(...options) {
      super(...options);
      made += 1;
    }
  };
  try {
    for (const timeZone of [...ZONES, ...ZONES]) {
      for (const language of ["en-GB", "ar-EG"]) {
        setLocale({ language, timeZone });
        made = 0;
        const fresh = (options, locale = language) => new DateTimeFormat(locale, { timeZone, ...options });
        const [clock, date, month] = [{ hour: "2-digit", minute: "2-digit" }, { dateStyle: "long" }, { month: "long", year: "numeric" }].map((one) => fresh(one));
        const day = fresh({ dateStyle: "short" }, "sv");
        // A year, which includes all changes of daylight saving time.
        for (let ms = noon - 365 * 24 * HOUR_MS; ms < noon; ms += 7 * HOUR_MS) {
          assert.equal(clockTime(ms), clock.format(ms));
          assert.equal(longDate(ms), date.format(ms));
          const days = (Date.parse(day.format(noon)) - Date.parse(day.format(ms))) / (24 * HOUR_MS);
          const expected = days <= 0 ? "today" : days <= 1 ? "yesterday" : days <= 7 ? "week" : days <= 30 ? "month" : month.format(ms);
          assert.equal(recencyGroup(ms, noon, groups), expected);
        }
        assert.ok(made <= 8, `${made} formatters`);
      }
    }
  } finally {
    Intl.DateTimeFormat = DateTimeFormat;
  }
});

test("what is shown follows the setting at once, and a device that travels soon", (t) => {
  setLocale({ language: "en-GB", timeZone: "Asia/Tokyo" });
  assert.deepEqual([clockTime(noon), shortTime(noon, noon), number(1234.5)], ["21:00", "21:00", "1,234.5"]);
  setLocale({ language: "de", timeZone: "America/New_York" });
  assert.deepEqual([clockTime(noon), shortTime(noon, noon), number(1234.5)], ["07:00", "07:00", "1.234,5"]);
  const { TZ } = process.env;
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
  try {
    process.env.TZ = "UTC";
    setLocale({ language: "en-GB", timeZone: null });
    assert.equal(clockTime(noon), "12:00");
    process.env.TZ = "Asia/Tokyo";
    t.mock.timers.tick(61_000);
    assert.equal(clockTime(noon), "21:00");
  } finally {
    if (TZ === undefined) delete process.env.TZ;
    else process.env.TZ = TZ;
  }
});

test("initials are of the first and the last name, else of the address", () => {
  assert.equal(initials({ name: "Ada King Lovelace", email: "x@example.org" }), "AL");
  assert.equal(initials({ name: " ada ", email: null }), "A");
  assert.equal(initials({ name: "", email: "bob@example.org" }), "B");
  assert.equal(initials({ name: "𝔸da 🌊", email: null }), "𝔸🌊");
  assert.equal(initials({}), "");
});

test("a name in a sentence cannot turn the sentence around, break it or fill it", () => {
  assert.equal(inSentence("Plan \u2069\u202e\u200fx\ny\u2028z"), "Plan x y z");
  assert.equal(inSentence("👩".repeat(200)), `${"👩".repeat(80)}…`);
  assert.equal(inSentence("\u202e\n"), "");
});
