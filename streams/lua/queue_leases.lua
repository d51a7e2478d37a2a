-- The state of all leases. KEYS: jobs, leases. ARGV: group, lease in ms.
-- Returns the id of this run of Redis, then id and count of renewals of each claimed job.
--
-- Counts do not depend on a clock: a reader sees which of them have not changed since its last call,
-- and measures the time with its own clock. The clock of this machine may be set back or forward.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local leases = redis.call('HGETALL', KEYS[2])
local has_lease = {}
for i = 1, #leases, 2 do has_lease[leases[i]] = true end
-- Workers of an earlier release count no renewals: their jobs are judged by Redis's clock.
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[2], '-', '+', '100')
if not pending.err then
  for _, row in ipairs(pending) do
    if not has_lease[row[1]] then
      leases[#leases + 1] = row[1]
      leases[#leases + 1] = ''
    end
  end
end
table.insert(leases, 1, run)
return leases
