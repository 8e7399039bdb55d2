-- Takes one revocation back, remembers that it was, and writes the change.
-- KEYS: index, detail, expiry, order, lifted, meta, changes
-- ARGV: tag, changes kept, id, actor, again ("1": it was there when this was first asked)
-- Answers: nil where there is none; the number alone where it was lifted by the first try; else the number, selector,
--          issued_before, expires_at, detail
local index, detail, expiry, order, lifted, meta, changes = unpack(KEYS)
local tag, keep, id, actor, again = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == "1"
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local known = redis.call("HGET", index, id)
if not known and again and redis.call("ZSCORE", lifted, id) then
  -- Written although nothing changes: what is waited for on replicas is the last write of this connection.
  redis.call("HSET", meta, "tag", redis.call("HGET", meta, "tag"))
  return { redis.call("HGET", meta, "seq") }
end
if not known then return nil end
local selector, before, expires = struct.unpack(">BI6I6", known)
local text = redis.call("HGET", detail, id) or ""
if expires > 0 and expires <= now then return nil end

local seq = string.format("%.0f", redis.call("HINCRBY", meta, "seq", 1))
redis.call("HSET", meta, "tag", tag)
redis.call("XADD", changes, "MAXLEN", "~", keep, seq .. "-0", "c", "-" .. tag .. id .. known, "d", "", "a", actor)
redis.call("HDEL", index, id)
redis.call("HDEL", detail, id)
redis.call("ZREM", expiry, id)
redis.call("ZREM", order, id .. known)
redis.call("ZADD", lifted, now, id)
return { seq, selector, before, expires, text }
