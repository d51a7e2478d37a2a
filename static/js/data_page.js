/* Shows the progress of the archive while it is being built. Without this script the page reloads itself. */

const EVERY_MS = 1_000;
const box = document.querySelector("[data-export-progress]");

async function look() {
  try {
    const answer = await fetch(box.dataset.exportProgress, { headers: { Accept: "application/json" } });
    if (answer.redirected || !answer.ok) return location.reload();
    show(await answer.json());
  } catch {
    // The server is unreachable for a moment: ask again.
  }
  setTimeout(look, EVERY_MS);
}

function show({ state, done, total, said }) {
  if (state !== "waiting" && state !== "building") return location.reload();
  const bar = box.querySelector("progress");
  bar.max = total || 1;
  bar.value = done;
  if (said) say(said);
}

function say(words) {
  const line = box.querySelector("[data-export-words]");
  if (line.textContent !== words) line.textContent = words;
}

if (box) setTimeout(look, EVERY_MS);
