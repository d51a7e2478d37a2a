import assert from "node:assert/strict";
import { test } from "node:test";
import { csrfToken } from "../../../static/js/chat/api.js";

test("over HTTPS the token is that of the cookie that no sister domain can set", (t) => {
  t.after(() => delete globalThis.document);
  for (const [cookie, token] of [
    ["csrftoken=a", "a"],
    ["csrftoken=planted; __Host-csrftoken=b; other=c", "b"],
    ["xcsrftoken=a; x__Host-csrftoken=b", ""],
    ["", ""],
  ]) {
    globalThis.document = { cookie };
    assert.equal(csrfToken(), token);
  }
});
