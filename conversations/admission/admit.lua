-- May this call go now? Looks at every rule first and takes from all of them only then.
--
-- KEYS  1 pace  2 queue  3 tickets  4 breaker of the model  5 breaker of the key  6 retry budget
-- ARGV  1 ticket  2 seniority (lower goes first)  3 requests per period, 0 = no limit
--       4 tokens per period  5 period ms  6 requests per day  7 name of the day  8 ms left of the day
--       9 tokens of this call  10 life of a ticket beyond its time, ms  11 life of a probe ms
--       12 how long to wait for somebody else's probe, ms  13 share of a limit that is used
--       14 retries a call earns  15 retries a second that are always free  16 most retries in store
--       17 share of the pace that returns each minute  18 the time in ms, empty: Valkey's own
-- Returns {"go", probe, now ms, how many wait} | {"wait", ms, place} | {"open", ms, code, scope} | {"day", ms}
local ticket = ARGV[1]

local function leave()
  redis.call('ZREM', KEYS[2], ticket)
  redis.call('HDEL', KEYS[3], ticket)
end

-- Breakers: closed, open until a time, then half open: one probe at a time.
local probes = {}
for index, scope in ipairs({'model', 'key'}) do
  local key = KEYS[3 + index]
  local open_until = tonumber(redis.call('HGET', key, 'open_until') or '')
  if open_until then
    local code = redis.call('HGET', key, 'code') or ''
    if now < open_until then
      leave()
      return {'open', math.ceil(open_until - now), code, scope}
    end
    if now < number(key, 'probe_until', 0) and redis.call('HGET', key, 'probe') ~= ticket then
      leave()
      return {'open', tonumber(ARGV[12]), code, scope}
    end
    probes[#probes + 1] = key
  end
end

local day_limit = tonumber(ARGV[6])
local today = 0
if day_limit > 0 then
  if redis.call('HGET', KEYS[1], 'day') == ARGV[7] then today = number(KEYS[1], 'today', 0) end
  if today >= math.max(1, math.floor(day_limit * tonumber(ARGV[13]))) then
    leave()
    return {'day', tonumber(ARGV[8])}
  end
end

local cost = tonumber(ARGV[9])
local rules = rules_of(tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[13]), tonumber(ARGV[17]))
local surely, likely = walker(rules, 1), walker(rules, number(KEYS[1], 'used_share', 1))
local place, seniority = 1, tonumber(ARGV[2])
for _, other in ipairs(waiting_tickets()) do
  if other.ticket ~= ticket and (other.seniority < seniority
    or (other.seniority == seniority and other.ticket < ticket)) then
    step(surely, other.cost)
    step(likely, other.cost)
    place = place + 1
  end
end

local sure_at, likely_at = step(surely, cost), step(likely, cost)
if sure_at > now + 1 then
  -- The time is told from what calls have really used; should that be too early, it is asked again.
  local wait = math.max(likely_at - now, (sure_at - now) / 4, math.min(sure_at - now, 250))
  redis.call('ZADD', KEYS[2], ARGV[2], ticket)
  redis.call('HSET', KEYS[3], ticket, string.format('%d %d', cost, now + wait + tonumber(ARGV[10])))
  redis.call('PEXPIRE', KEYS[2], 86400000)
  redis.call('PEXPIRE', KEYS[3], 86400000)
  return {'wait', math.ceil(wait), place}
end

leave()
local requests, tokens = rules.requests, rules.tokens
if requests then
  redis.call('HSET', KEYS[1], 'requests_tat', string.format('%.3f', math.max(requests.tat, now) + requests.interval))
end
if tokens then
  redis.call('HSET', KEYS[1], 'tokens_tat', string.format('%.3f', math.max(tokens.tat, now) + cost * tokens.interval))
end
if day_limit > 0 then redis.call('HSET', KEYS[1], 'day', ARGV[7], 'today', today + 1) end
if requests or tokens or day_limit > 0 then redis.call('PEXPIRE', KEYS[1], 172800000) end
for _, key in ipairs(probes) do
  redis.call('HSET', key, 'probe', ticket, 'probe_until', string.format('%.0f', now + tonumber(ARGV[11])))
end

local store = math.min(tonumber(ARGV[16]), number(KEYS[6], 'store', ARGV[16])
  + tonumber(ARGV[15]) * (now - number(KEYS[6], 'at', now)) / 1000 + tonumber(ARGV[14]))
redis.call('HSET', KEYS[6], 'store', tostring(store), 'at', string.format('%.3f', now))
redis.call('PEXPIRE', KEYS[6], 3600000)
return {'go', #probes, string.format('%.3f', now), redis.call('ZCARD', KEYS[2])}
