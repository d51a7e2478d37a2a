import assert from "node:assert/strict";
import { test } from "node:test";
import { OrderedTasks } from "../../../static/js/chat/lib/ordered_tasks.js";

/** Tasks that record their start, and end when the test ends them. */
function recorder() {
  const begun = [];
  const end = {};
  const task = (name) => () => {
    begun.push(name);
    return new Promise((resolve, reject) => (end[name] = { resolve, reject }));
  };
  return { begun, end, task };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test("tasks of one key run one after the other, those of another beside them", async () => {
  const { begun, end, task } = recorder();
  const tasks = new OrderedTasks();
  const first = tasks.run("a", task("1"));
  void tasks.run("a", task("2"));
  void tasks.run("b", task("3"));
  await settle();
  assert.deepEqual(begun, ["1", "3"]);
  end["1"].resolve("done");
  assert.equal(await first, "done");
  await settle();
  assert.deepEqual(begun, ["1", "3", "2"]);
});

test("a task that fails does not hold up the next", async () => {
  const { begun, end, task } = recorder();
  const tasks = new OrderedTasks();
  const first = tasks.run("a", task("1"));
  void tasks.run("a", task("2"));
  await settle();
  end["1"].reject(new Error("refused"));
  await assert.rejects(first, /refused/);
  await settle();
  assert.deepEqual(begun, ["1", "2"]);
});

test("all that waits starts when the page goes, in order and before another task of the event loop", async () => {
  const { begun, task } = recorder();
  const tasks = new OrderedTasks();
  for (const name of ["1", "2", "3"]) void tasks.run("a", task(name));
  await settle();
  tasks.startAll();
  // As in a handler of pagehide, where only microtasks still run.
  for (let turn = 0; turn < 5; turn++) await null;
  assert.deepEqual(begun, ["1", "2", "3"]);
});
