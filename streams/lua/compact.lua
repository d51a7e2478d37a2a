-- Drops parts of one whole from a chat's live parts, a chunk at a time (walk.lua).
-- KEYS: live, ids of parts. ARGV: the whole, where to go on (an id, or '-'), entries and bytes of data
-- looked at in one call, the last entry that may be dropped (an id, or '+'), how long their ids stay
-- known, in ms.
-- Returns where to go on, or false when all is done. Running it again does nothing more.
local DATA = 4
local last, gone = nil, {}
local more = walk('XRANGE', KEYS[1], ARGV[2], ARGV[5], tonumber(ARGV[3]), tonumber(ARGV[4]), DATA, FEW,
  function(entry)
    last = entry[1]
    if entry[2][6] == ARGV[1] then
      gone[#gone + 1] = last
    end
  end)
if #gone > 0 then
  redis.call('XDEL', KEYS[1], unpack(gone))
end
-- XDEL only marks entries; the memory comes back when the stream itself goes, which is the usual
-- case, as a chat seldom has two unfinished answers.
if redis.call('XLEN', KEYS[1]) == 0 then
  redis.call('UNLINK', KEYS[1])
  -- Not at once: an append that its sender has given up may still be on its way through the network.
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
  return false
end
return more and '(' .. last
