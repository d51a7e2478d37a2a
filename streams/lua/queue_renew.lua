-- Renews the leases that are still owned, including lapsed ones that nobody has taken over.
-- KEYS: jobs, owners, leases. ARGV: group, consumer, then id and token of each job.
-- Returns the ids of the owned jobs.
local owned = {}
for i = 3, #ARGV, 2 do
  -- The token decides, so this never takes a job back from a successor.
  if redis.call('HGET', KEYS[2], ARGV[i]) == ARGV[i + 1] then
    redis.call('HINCRBY', KEYS[3], ARGV[i], 1)
    -- For workers of an earlier release, which judge leases by Redis's clock.
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0', ARGV[i], 'JUSTID')
    owned[#owned + 1] = ARGV[i]
  end
end
return owned
