-- Takes rows of one writer and one hour, all of them or none: a batch whose answer was lost is sent again, and must not
-- count twice. Keys are compared as 16 hex digits, since Lua's numbers do not hold 64 bits.
--   KEYS  position, allowed stream, other stream, counters, buckets…
--   ARGV  expiry (Unix seconds), first key, last key, number of rows, counters and buckets, the last key that must be
--         there (or empty);
--         then for each row  1 or 2 (which stream), id, packed event;
--         for each counter   field, number;
--         for each bucket    bytes to append
local expiry, first, last = ARGV[1], ARGV[2], ARGV[3]
local rows, counters, buckets = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local done = redis.call('HGET', KEYS[1], 'k')
for n = 2, done and 1 or 3 do -- a Redis that evicts may have taken the position and left the rows: none comes before them
  local newest = redis.call('XREVRANGE', KEYS[n], '+', '-', 'COUNT', 1)[1]
  if newest then
    local ms, sequence = string.match(newest[1], '^(%d+)-(%d+)$')
    local key = string.format('%08x%08x', math.floor(ms / 1024), ms % 1024 * 4194304 + sequence)
    if not done or done < key then
      done = key
    end
  end
end
-- Rows that would come before these are gone, and not because their time was over: once these are there, nobody can bring
-- them again.
if (done or '') < ARGV[7] and tonumber(redis.call('TIME')[1]) < tonumber(expiry) then
  return 'lost' .. (done or '')
end
if done and done >= first then
  return done
end
local at, bytes = 8, { 0, 0 }
for _ = 1, rows do
  local class = tonumber(ARGV[at])
  redis.call('XADD', KEYS[1 + class], ARGV[at + 1], 'e', ARGV[at + 2])
  bytes[class] = bytes[class] + #ARGV[at + 2] + 24
  at = at + 3
end
for _ = 1, counters do
  redis.call('HINCRBY', KEYS[4], ARGV[at], ARGV[at + 1])
  at = at + 2
end
for n = 1, buckets do
  local key, value = KEYS[4 + n], ARGV[at]
  if redis.call('APPEND', key, value) == #value then
    redis.call('EXPIREAT', key, expiry)
  end
  bytes[2] = bytes[2] + #value
  at = at + 1
end
redis.call('HSET', KEYS[1], 'k', last)
redis.call('HINCRBY', KEYS[1], 'a', bytes[1])
redis.call('HINCRBY', KEYS[1], 'd', bytes[2])
for n = 1, 4 do
  redis.call('EXPIREAT', KEYS[n], expiry)
end
return ''
