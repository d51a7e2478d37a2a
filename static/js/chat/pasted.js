// Long pasted texts are shown folded while one writes. Sent, each is a fenced block named `pasted`
// below the message: a model reads it as what it is, and the page finds it again.

const LONG_CHARS = 2_000;
const LONG_LINES = 30;
const BLOCK = /(?:^|\n\n)(`{3,})pasted\n([\s\S]*?)\n\1(?!`)(?=\n\n|$)/g;

export const lineCount = (text) => text.split("\n").length;

export function isLong(text) {
  return text.length > LONG_CHARS || lineCount(text) > LONG_LINES;
}

/** The message as it is sent. */
export function joined({ text, pastes }) {
  return [text.trim(), ...pastes.map(fenced)].filter(Boolean).join("\n\n");
}

/** The message as it was written: the other way round. */
export function taken(content) {
  const pastes = [];
  const text = content.replace(BLOCK, (_, fence, paste) => {
    pastes.push(paste);
    return "";
  });
  return { text: text.trim(), pastes };
}

/** The fence is longer than any run of backticks inside, so that nothing inside can end it. */
function fenced(paste) {
  const runs = paste.match(/`+/g) ?? [];
  const fence = "`".repeat(Math.max(3, ...runs.map((run) => run.length + 1)));
  return `${fence}pasted\n${paste}\n${fence}`;
}
