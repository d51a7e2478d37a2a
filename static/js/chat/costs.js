// What the answers of a chat have cost, of all branches: what was written was paid for, shown or not.

/** {total, rows: [{model, answers, tokens, cost}]} in micro-USD, the dearest first. */
export function costsOf(transcript) {
  const byModel = new Map();
  for (const message of Object.values(transcript.messages)) {
    if (message.role !== "assistant" || !message.usage) continue;
    const model = message.model ?? "";
    const row = byModel.get(model) ?? { model, answers: 0, tokens: 0, cost: 0 };
    row.answers += 1;
    row.tokens += (message.usage.prompt_tokens ?? 0) + (message.usage.completion_tokens ?? 0);
    row.cost += message.cost_micro_usd ?? 0;
    byModel.set(model, row);
  }
  const rows = [...byModel.values()].sort((a, b) => b.cost - a.cost || b.tokens - a.tokens);
  return { total: rows.reduce((sum, row) => sum + row.cost, 0), rows };
}
