-- What came of a call: closes or opens breakers, slows the pace down, gives unused tokens back.
--
-- KEYS  1 pace  2 breaker of the model  3 breaker of the key  4 queue
-- ARGV  1 result: ok, failed, limited, key, day, none  2 ticket  3 when it was admitted, ms
--       4 error code  5 tokens taken  6 tokens used, -1 = unknown  7 tokens per period, 0 = no limit
--       8 period ms  9 share of a limit that is used  10 the pace is multiplied by this when limited
--       11 lowest pace  12 hint ms, 0 = none  13 calls that a breaker looks at, at least
--       14 failures in percent that open it  15 its window ms  16 open at first, ms  17 open at most, ms
--       18 refusals in a row after which everybody waits for the hint
--       19 share of the pace that returns each minute  20 the time in ms, empty: Valkey's own
-- Returns {breaker: "" | "opened" | "closed", ms, pace in percent or -1, how many wait}
local time = redis.call('TIME')
local now = tonumber(ARGV[#ARGV]) or time[1] * 1000 + time[2] / 1000
local result, ticket, hint = ARGV[1], ARGV[2], tonumber(ARGV[12])
local SLOTS = 6

local function number(key, field, default)
  return tonumber(redis.call('HGET', key, field) or default)
end
local function ms(value)
  return string.format('%.3f', value)
end

local pace_was = math.min(1, number(KEYS[1], 'pace', 1)
  + tonumber(ARGV[19]) * (now - number(KEYS[1], 'paced_at', now)) / 60000)

-- Tokens that were taken and not used come back; those used beyond are taken now.
local taken, used, limit = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if limit > 0 and used >= 0 and taken > 0 then
  local interval = tonumber(ARGV[8]) / (limit * tonumber(ARGV[9]) * pace_was)
  local tat = number(KEYS[1], 'tokens_tat', now) + (used - taken) * interval
  local share = math.min(1, used / taken)
  redis.call('HSET', KEYS[1], 'tokens_tat', ms(math.max(tat, now - tonumber(ARGV[8]))),
    'used_share', tostring(0.8 * number(KEYS[1], 'used_share', 1) + 0.2 * share))
end

local pace_now, waiting = -1, redis.call('ZCARD', KEYS[4])
if result == 'limited' then
  -- Refusals while the provider still counts what was sent too fast are one overshoot, not many.
  if tonumber(ARGV[3]) >= number(KEYS[1], 'counted_until', 0) then
    local slower = math.max(tonumber(ARGV[11]), pace_was * tonumber(ARGV[10]))
    redis.call('HSET', KEYS[1], 'pace', tostring(slower), 'paced_at', ms(now),
      'counted_until', ms(now + math.max(hint, tonumber(ARGV[8]) / 6)))
    pace_now = math.floor(slower * 100)
  end
  local strikes = redis.call('HINCRBY', KEYS[1], 'strikes', 1)
  if strikes >= tonumber(ARGV[18]) and hint > 0 then
    redis.call('HSET', KEYS[1], 'pause_until', ms(math.max(number(KEYS[1], 'pause_until', 0), now + hint)))
  end
  redis.call('PEXPIRE', KEYS[1], 172800000)
elseif result == 'ok' then
  redis.call('HDEL', KEYS[1], 'strikes')
end

local function open(key, longest)
  local until_was = number(key, 'open_until', 0)
  local trips = number(key, 'trips', 0)
  if until_was < now then trips = trips + 1 end
  local first = math.min(tonumber(ARGV[16]) * 2 ^ (trips - 1), tonumber(ARGV[17]))
  -- Never shorter than it was: a second failure must not bring the next probe forward.
  local open_until = math.max(until_was, now + math.max(first, hint))
  redis.call('DEL', key)
  redis.call('HSET', key, 'open_until', ms(open_until), 'trips', trips, 'code', ARGV[4])
  redis.call('PEXPIRE', key, math.ceil(open_until - now) + 3600000)
  return {'opened', math.ceil(open_until - now), pace_now, waiting}
end
local function probed(key)
  return redis.call('HGET', key, 'probe') == ticket
end
local function close(key)
  redis.call('DEL', key)
  return {'closed', 0, pace_now, waiting}
end

if result == 'key' then
  return open(KEYS[3])
elseif result == 'day' then
  return open(KEYS[2])
elseif result == 'none' or result == 'limited' then
  -- It says nothing about the fault: the next call is the probe.
  for index = 2, 3 do
    if probed(KEYS[index]) then redis.call('HDEL', KEYS[index], 'probe', 'probe_until') end
  end
  return {'', 0, pace_now, waiting}
end

local answer = {'', 0, pace_now, waiting}
if probed(KEYS[3]) then answer = close(KEYS[3]) end
if probed(KEYS[2]) then
  if result == 'failed' then return open(KEYS[2]) end
  return close(KEYS[2])
end
if number(KEYS[2], 'open_until', 0) > 0 then return answer end  -- a call from before it opened

local width = tonumber(ARGV[15]) / SLOTS
local slot = math.floor(now / width)
redis.call('HINCRBY', KEYS[2], 'calls:' .. slot, 1)
redis.call('PEXPIRE', KEYS[2], 3600000)
if result ~= 'failed' then return answer end
redis.call('HINCRBY', KEYS[2], 'failures:' .. slot, 1)
local sums = {calls = 0, failures = 0}
local fields = redis.call('HGETALL', KEYS[2])
for index = 1, #fields, 2 do
  local what, of = string.match(fields[index], '^(%a+):(%d+)$')
  if what then
    if tonumber(of) > slot - SLOTS then
      sums[what] = sums[what] + tonumber(fields[index + 1])
    else
      redis.call('HDEL', KEYS[2], fields[index])
    end
  end
end
if sums.calls >= tonumber(ARGV[13]) and sums.failures * 100 >= sums.calls * tonumber(ARGV[14]) then
  return open(KEYS[2])
end
return answer
