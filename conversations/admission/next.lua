-- May the first in the queue go earlier than it was told? Changes nothing that anybody was told.
--
-- KEYS  1 pace  2 queue  3 tickets
-- ARGV  1 requests per period, 0 = no limit  2 tokens per period  3 period ms  4 share of a limit that is used
--       5 share of the pace that returns each minute  6 life of a ticket beyond its time, ms
--       7 by how much it must be earlier, ms  8 the time in ms, empty: Valkey's own
-- Returns {ticket, ms}, or nothing
local first = waiting_tickets()[1]
if not first then return false end
local rules = rules_of(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
local at = step(walker(rules, 1), first.cost)
if first.expires - tonumber(ARGV[6]) - at < tonumber(ARGV[7]) then return false end
return {first.ticket, math.ceil(at - now)}
