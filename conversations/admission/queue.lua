-- The queue of a key and model, for the scripts that it is put before.
--
-- KEYS  1 pace  2 queue  3 tickets; the last of ARGV is the time in ms, empty: Valkey's own
local time = redis.call('TIME')
local now = tonumber(ARGV[#ARGV]) or time[1] * 1000 + time[2] / 1000

local function number(key, field, default)
  return tonumber(redis.call('HGET', key, field) or default)
end

-- Limits per period: GCRA at the used share of the limit, the rest of it being the burst, so that no
-- window of a period ever holds more than the limit. A refusal has made the pace slower for a while.
local function rules_of(requests, tokens, period, share, returns_a_minute)
  local pace = math.min(1, number(KEYS[1], 'pace', 1)
    + returns_a_minute * (now - number(KEYS[1], 'paced_at', now)) / 60000)
  local function rule(limit, field, least_burst)
    if limit == 0 then return nil end
    local capacity = limit * share * pace
    return {
      interval = period / capacity,
      most = math.max(capacity, 1),
      burst = math.max(limit * (1 - share) * pace, least_burst),
      tat = number(KEYS[1], field, 0),
    }
  end
  return {requests = rule(requests, 'requests_tat', 1), tokens = rule(tokens, 'tokens_tat', 0)}
end

-- The moment from which a rule lets an amount pass. More than the burst must be saved up before.
local function earliest(one, tat, amount)
  return tat + (math.min(amount, one.most) - one.burst) * one.interval
end

-- A walk along the queue: each takes its turn after the one before it.
local function walker(rules, share_of_tokens)
  return {rules = rules, share = share_of_tokens, at = math.max(now, number(KEYS[1], 'pause_until', 0)),
    requests = rules.requests and rules.requests.tat, tokens = rules.tokens and rules.tokens.tat}
end
local function step(walk, amount)
  amount = amount * walk.share
  local at, requests, tokens = walk.at, walk.rules.requests, walk.rules.tokens
  if requests then at = math.max(at, earliest(requests, walk.requests, 1)) end
  if tokens then at = math.max(at, earliest(tokens, walk.tokens, amount)) end
  if requests then walk.requests = math.max(walk.requests, at) + requests.interval end
  if tokens then walk.tokens = math.max(walk.tokens, at) + amount * tokens.interval end
  -- After a pause without a known pace they come one by one.
  walk.at = (not requests and at > now) and at + 200 or at
  return at
end

-- Those who wait, in their order: {ticket, seniority, cost, expires}. Who did not come back is forgotten.
local function waiting_tickets()
  local found = {}
  if redis.call('EXISTS', KEYS[2]) == 0 then return found end
  local waiting = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
  local tickets, fields = {}, redis.call('HGETALL', KEYS[3])
  for index = 1, #fields, 2 do tickets[fields[index]] = fields[index + 1] end
  for index = 1, #waiting, 2 do
    local ticket = waiting[index]
    local cost, expires = string.match(tickets[ticket] or '', '^(%d+) (%d+)$')
    if not cost or tonumber(expires) < now then
      redis.call('ZREM', KEYS[2], ticket)
      redis.call('HDEL', KEYS[3], ticket)
    else
      found[#found + 1] = {ticket = ticket, seniority = tonumber(waiting[index + 1]),
        cost = tonumber(cost), expires = tonumber(expires)}
    end
  end
  return found
end

