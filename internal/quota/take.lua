-- Takes an admission from all budgets, or from none. Times are microseconds of this server.
-- KEYS: of each budget its log, the newest first, and its state.
-- ARGV: the time of an admission that is given back before (0: none), then of each budget
-- requests (0: only pauses count), window and pace (0: not spread).
-- Reply: the wait (0: taken), the index of the budget it is of, the time now, then of each budget
-- how long it is paused, negative when that is over, and the millionths of its limit that are left
-- after.
local catch_up = 50000
local memory = 1200000 -- ms after a pause: the recovery from the lowest limit
local backwards = 1000000 -- of the clock, from which on what it said before means nothing

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local instead = ARGV[1]
local reply = {0, 0, now}
local nexts = {}
for i = 1, #KEYS / 2 do
  local log = KEYS[2 * i - 1]
  local requests, window, pace = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local state = redis.call('HMGET', KEYS[2 * i], 'until', 'scale', 'next', 'told')
  if state[4] and tonumber(state[4]) > now + backwards then
    redis.call('DEL', KEYS[2 * i])
    state = {}
  end
  local due = tonumber(state[1] or now)
  table.insert(reply, due - now)
  table.insert(reply, tonumber(state[2] or 0))
  if requests > 0 then
    local newest = tonumber(redis.call('LINDEX', log, 0) or 0)
    if newest > now + window then
      redis.call('DEL', log)
    end
    if instead ~= '0' then
      redis.call('LREM', log, 1, instead)
    end
    local last = redis.call('LINDEX', log, requests - 1)
    if last then
      due = math.max(due, last + window)
    end
    local next = tonumber(state[3] or 0)
    if pace > 0 and next <= math.max(now, due) + window then
      due = math.max(due, next)
    end
    nexts[i] = math.max(next, now - catch_up) + pace
  end
  if due - now > reply[1] then
    reply[1], reply[2] = math.ceil(due - now), i - 1
  end
end
if reply[1] > 0 then
  return reply
end
for i = 1, #KEYS / 2 do
  local log, state = KEYS[2 * i - 1], KEYS[2 * i]
  local requests, window, pace = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  if requests > 0 then
    redis.call('LPUSH', log, string.format('%.0f', now))
    -- More than this caller needs, for those who know a higher limit.
    redis.call('LTRIM', log, 0, 4 * requests - 1)
    redis.call('PEXPIRE', log, math.ceil(window / 1000) + 1000)
    if pace > 0 then
      redis.call('HSET', state, 'next', string.format('%.0f', nexts[i]))
      redis.call('PEXPIRE', state, memory)
    end
  end
end
return reply
