-- Pauses a budget: the later of two pauses wins. Times are microseconds of this server.
-- KEYS: the budget's state. ARGV: how long, and how many millionths of the limit are left after it.
local memory = 1200000 -- ms after a pause: the recovery from the lowest limit
local backwards = 1000000 -- if the clock goes back by more, what it said before means nothing

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local paused_until, scale = now + ARGV[1], tonumber(ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'until', 'scale', 'told')
if state[1] and tonumber(state[1]) > now and tonumber(state[3] or 0) <= now + backwards then
  paused_until = math.max(paused_until, state[1])
  scale = math.min(scale, state[2])
end
local text = string.format('%.0f', paused_until)
redis.call('HSET', KEYS[1], 'until', text, 'scale', string.format('%.0f', scale), 'next', text, 'told', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(math.max(0, paused_until - now) / 1000) + memory)
return 0
