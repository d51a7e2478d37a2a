// The cost of all answers of a chat. Answers in hidden branches count, because they were charged, too.

// The prefix of models that are called with the person's own key, which the person pays the provider for.
const OWN = "my-";

/**
 * `cost` in micro-USD; `tokens`: those that the answers have, as below each of them.
 * @typedef {{model: string, isOwn: boolean, answers: number, tokens: number, cost: number}} CostRow
 */

/**
 * The costs by model, the highest first. `total` was paid from credit, `ofKeys` to providers with the
 * person's own keys.
 * @param {import("./fold.js").Transcript} transcript
 */
export function costsOf(transcript) {
  /** @type {Map<string, CostRow>} */
  const byModel = new Map();
  for (const message of Object.values(transcript.messages)) {
    if (message.role !== "assistant" || !message.usage) continue;
    const model = message.model ?? "";
    const row = byModel.get(model) ?? { model, isOwn: model.startsWith(OWN), answers: 0, tokens: 0, cost: 0 };
    row.answers += 1;
    row.tokens += message.usage.completion_tokens ?? 0;
    row.cost += message.cost_micro_usd ?? 0;
    byModel.set(model, row);
  }
  const rows = [...byModel.values()].sort((a, b) => b.cost - a.cost || b.tokens - a.tokens);
  /** @param {boolean} isOwn */
  const sumOf = (isOwn) => rows.reduce((sum, row) => sum + (row.isOwn === isOwn ? row.cost : 0), 0);
  return { total: sumOf(false), ofKeys: sumOf(true), rows };
}
