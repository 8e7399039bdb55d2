-- Says how many entries there are, and whether the order has them all.
-- KEYS: index, order
-- Answers: entries in the index, entries in the order
return { redis.call("HLEN", KEYS[1]), redis.call("ZCARD", KEYS[2]) }
