-- Copies a stretch of a stream to another key without the rows that are to go, and puts the copy in the stream's place
-- when it has reached the end: XDEL alone would leave their bytes where they are. One erasure at a time: two would mix
-- their copies, and the one that ends last would bring back what the other took out, or lose what nobody erased.
--   KEYS  stream, copy, owner of the copy
--   ARGV  id after which to go on, how many rows to copy, expiry (Unix seconds), who erases, then the ids that are to go
--   gives the id of the last row, 'busy' where another erases (begin again), or nothing when the stream is done
local first = ARGV[1] == '0'
if redis.call('GET', KEYS[3]) ~= ARGV[4] and not (first and redis.call('SET', KEYS[3], ARGV[4], 'NX')) then
  return 'busy'
end
redis.call('EXPIRE', KEYS[3], 10) -- who was ended in the middle holds nobody up for long
if first then
  redis.call('DEL', KEYS[2]) -- of an attempt that was broken off
end
local gone = {}
for n = 5, #ARGV do
  gone[ARGV[n]] = true
end
local limit = tonumber(ARGV[2])
local rows = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', limit)
local last
for _, row in ipairs(rows) do
  last = row[1]
  if not gone[last] then
    redis.call('XADD', KEYS[2], last, unpack(row[2]))
  end
end
if #rows == limit then
  redis.call('EXPIREAT', KEYS[2], ARGV[3])
  return last
end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if newest[1] and redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('RENAME', KEYS[2], KEYS[1])
  redis.call('XSETID', KEYS[1], newest[1][1])
else
  redis.call('DEL', KEYS[1], KEYS[2])
end
redis.call('EXPIREAT', KEYS[1], ARGV[3])
redis.call('DEL', KEYS[3])
return false
