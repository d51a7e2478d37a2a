import { htmlOf } from "../../../static/js/chat/markdown/html.js";
import { Notes } from "../../../static/js/chat/markdown/notes.js";
import { BlockStream } from "../../../static/js/chat/markdown/stream.js";

/** What the stream makes of `source` when it comes in pieces of the sizes that `size` gives. */
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
  // Addresses may be defined after they are used: the last pass reads those blocks again.
  return blocks.map((block) => (block.part ? { carried: block.part.carried, html: htmlOf(stream.again(block.part), notes) } : block));
}

/** The same of the text at once. */
export const whole = (source) => streamed(source, () => Infinity);

/** The HTML of `blocks`, without what each link has in common; those of a stream have a token. */
export function shownHtml(blocks) {
  return blocks.map(({ html, code }) => (html?.token ? htmlOf(html.token) : html ?? `<pre>${code}</pre>`)).join("")
    .replace(/ title="[^"]*" target="_blank" rel="[^"]*"/g, "").replace(/\n+(?=<|$)/g, "");
}
