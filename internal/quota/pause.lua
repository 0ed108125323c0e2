-- Pauses a budget: the later of two pauses wins. Times are microseconds of this server.
-- KEYS: the budget's state. ARGV: for how long, and the millionths of the limit left after.
local state_ttl = 1200000

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local paused_until, scale = now + ARGV[1], tonumber(ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'until', 'scale')
if state[1] and tonumber(state[1]) > now then
  paused_until = math.max(paused_until, state[1])
  scale = math.min(scale, state[2])
end
local text = string.format('%.0f', paused_until)
redis.call('HSET', KEYS[1], 'until', text, 'scale', string.format('%.0f', scale), 'next', text)
redis.call('PEXPIRE', KEYS[1], state_ttl)
return 0
