-- Takes one retry from the budget. An empty budget lends: the retry waits until it is earned.
--
-- KEYS  1 retry budget
-- ARGV  1 retries a second that are always free  2 most retries in store  3 most retries lent
--       4 the time in ms, empty: Valkey's own
-- Returns the wait in ms
local time = redis.call('TIME')
local now = tonumber(ARGV[#ARGV]) or time[1] * 1000 + time[2] / 1000
local free = tonumber(ARGV[1])
local at = tonumber(redis.call('HGET', KEYS[1], 'at') or now)
local store = math.min(tonumber(ARGV[2]),
  tonumber(redis.call('HGET', KEYS[1], 'store') or ARGV[2]) + free * (now - at) / 1000) - 1
store = math.max(store, -tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'store', tostring(store), 'at', string.format('%.3f', now))
redis.call('PEXPIRE', KEYS[1], 3600000)
return math.ceil(math.max(0, -store) / free * 1000)
