-- How the leases stand. KEYS: jobs, leases. ARGV: group, lease in ms.
-- Returns which start of Redis this is, then id and count of renewals of each job that somebody has.
--
-- Nothing here asks what time it is: whoever reads this twice sees which counts have not moved, and
-- measures by its own clock for how long. The clock of this machine may be set back or forward.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local found = redis.call('HGETALL', KEYS[2])
local has_lease = {}
for i = 1, #found, 2 do has_lease[found[i]] = true end
-- Workers of an earlier release count no renewals: of their jobs only Redis's clock is known.
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[2], '-', '+', '100')
if not pending.err then
  for _, row in ipairs(pending) do
    if not has_lease[row[1]] then
      found[#found + 1] = row[1]
      found[#found + 1] = ''
    end
  end
end
table.insert(found, 1, run)
return found
