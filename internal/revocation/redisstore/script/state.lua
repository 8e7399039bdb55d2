-- Says where the store stands, gives an empty one its identity, sends a heartbeat, and clears away what has run out.
-- KEYS: index, detail, expiry, order, lifted, meta, beats
-- ARGV: epoch and secret to take over, beat (or empty), milliseconds that an expired entry and a lifting are kept
-- Answers: epoch, secret, seq, tag, entries
local index, detail, expiry, order, lifted, meta, beats = unpack(KEYS)
local epoch, secret, beat, expired_kept, lifted_kept = unpack(ARGV)
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A server whose memory (OOM) or disk (MISCONF) is full is read all the same. Any other refusal stands: a master that was
-- cut off or demoted must not look as if it were the store.
local new = redis.pcall("HSETNX", meta, "epoch", epoch)
local refused = type(new) == "table" and new.err or ""
local no_memory, no_disk = string.find(refused, "OOM", 1, true), string.find(refused, "MISCONF", 1, true)
if refused ~= "" and not ((no_memory or no_disk) and redis.call("HEXISTS", meta, "epoch") == 1) then
  return new
end
if new == 1 then
  redis.call("HSET", meta, "secret", secret)
end
if beat ~= "" and refused == "" then
  redis.call("XADD", beats, "MAXLEN", "~", 100, "*", "b", beat)
end
local due = {}
if not no_disk then -- to take away is possible without memory
  due = redis.call("ZRANGEBYSCORE", expiry, "-inf", now - expired_kept, "LIMIT", 0, 1000)
  redis.call("ZREMRANGEBYSCORE", lifted, "-inf", now - lifted_kept)
end
if #due > 0 then
  local gone = redis.call("HMGET", index, unpack(due))
  for i, id in ipairs(due) do
    gone[i] = id .. (gone[i] or "")
  end
  redis.call("ZREM", order, unpack(gone))
  redis.call("HDEL", index, unpack(due))
  redis.call("HDEL", detail, unpack(due))
  redis.call("ZREM", expiry, unpack(due))
end
local known = redis.call("HMGET", meta, "epoch", "secret", "seq", "tag")
return { known[1], known[2], known[3] or "0", known[4] or "", redis.call("HLEN", index) }
