-- Removes the parts of a whole from a chat's live parts, a chunk at a time (walk.lua).
-- KEYS: live, part ids. ARGV: the whole, where to start (an id, or '-'), the limits of entries and of
-- bytes of data read in one call, the last entry that may be removed (an id, or '+'), how long part ids
-- stay known, in ms.
-- Returns where to continue, or false at the end. Running it again is harmless.
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
-- XDEL only marks entries. Their memory is freed when the stream is removed, which is the usual case
-- because a chat seldom has two unfinished answers.
if redis.call('XLEN', KEYS[1]) == 0 then
  redis.call('UNLINK', KEYS[1])
  -- Not at once: an append that its sender has abandoned may still be in transit.
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
  return false
end
return more and '(' .. last
