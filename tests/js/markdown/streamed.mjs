import { htmlOf } from "../../../static/js/chat/markdown/html.js";
import { Notes } from "../../../static/js/chat/markdown/notes.js";
import { BlockStream } from "../../../static/js/chat/markdown/stream.js";

/** Returns the blocks of `source`, streamed in pieces whose lengths `size` returns. */
export function streamed(source, size) {
  const stream = new BlockStream();
  const notes = new Notes();
  const blocks = [];
  let end = 0;
  const read = (isDone) => {
    do {
      for (const part of stream.step(source.slice(0, end), isDone)) {
        if (part.type === "block") blocks.push({ part });
        else if (part.type === "code") blocks.push({ language: part.language, code: "" });
        else if (part.type === "lines") blocks.at(-1).code += part.text;
      }
    } while (stream.isBehind);
  };
  while (end < source.length) {
    end = Math.min(source.length, end + size());
    read(false);
  }
  read(true);
  // Links may be defined after they are used, so these blocks are read again at the end.
  return blocks.map((block) => (block.part ? { carried: block.part.carried, html: htmlOf(stream.again(block.part), notes) } : block));
}

/** Returns the blocks of `source`, read in one piece. */
export const whole = (source) => streamed(source, () => Infinity);

/** Returns the HTML of `blocks`, without the attributes that all links share. Streamed blocks have a token. */
export function shownHtml(blocks) {
  return blocks.map(({ html, code }) => (html?.token ? htmlOf(html.token) : html ?? `<pre>${code}</pre>`)).join("")
    .replace(/ title="[^"]*" target="_blank" rel="[^"]*"/g, "").replace(/\n+(?=<|$)/g, "");
}
