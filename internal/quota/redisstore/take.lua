-- Takes an admission from all budgets, or from none. Times are microseconds of this server.
-- KEYS: of each budget its log, the newest first, its state, and its log of version 1; then when a
-- replica of version 1 was last seen.
-- ARGV: the time of an admission that is given back before (0: none), then of each budget
-- requests (0: only pauses count), window, pace (0: not spread), and by version 1 the requests (0: it
-- counts the same) and the window.
-- Reply: the wait (0: taken), the index of the budget it is of, the time now, then of each budget
-- how long it is paused, negative when that is over, and the millionths of its limit that are left
-- after.
local catch_up = 50000
local memory = 1200000 -- ms after a pause: the recovery from the lowest limit
local backwards = 1000000 -- of the clock, from which on what it said before means nothing

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local instead = ARGV[1]
local seen = tonumber(redis.call('GET', KEYS[#KEYS]) or 0)
local reply = {0, 0, now}
local nexts = {}

-- What was admitted by version 1 is in its log alone, and only the last of it. So as long as a window
-- may hold any of it, all is admitted by version 1 too, which admits less at once.
local function terms(i)
  local a = 5 * i - 3
  local requests, window, pace = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local old_requests, old_window = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  if seen <= now - window or seen > now + backwards then
    old_requests = 0
  end
  return requests, window, pace, old_requests, old_window
end

-- When a log has room for one more.
local function room(log, requests, window)
  if requests == 0 then
    return 0
  end
  local newest = tonumber(redis.call('LINDEX', log, 0) or 0)
  if newest > now + window then
    redis.call('DEL', log)
  end
  if instead ~= '0' then
    redis.call('LREM', log, 1, instead)
  end
  local last = redis.call('LINDEX', log, requests - 1)
  return last and last + window or 0
end

local function add(log, requests, window)
  if requests == 0 then
    return
  end
  redis.call('LPUSH', log, string.format('%.0f', now))
  -- More than this caller needs, for those who know a higher limit or a longer window.
  redis.call('LTRIM', log, 0, 4 * requests - 1)
  local ttl = math.ceil(window / 1000) + 1000
  if redis.call('PTTL', log) < ttl then
    redis.call('PEXPIRE', log, ttl)
  end
end

for i = 1, (#KEYS - 1) / 3 do
  local log, state_key, old_log = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  local requests, window, pace, old_requests, old_window = terms(i)
  local state = redis.call('HMGET', state_key, 'until', 'scale', 'next', 'told')
  if state[4] and tonumber(state[4]) > now + backwards then
    redis.call('DEL', state_key)
    state = {}
  end
  local due = tonumber(state[1] or now)
  table.insert(reply, due - now)
  table.insert(reply, tonumber(state[2] or 0))
  if requests > 0 then
    due = math.max(due, room(log, requests, window), room(old_log, old_requests, old_window))
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
for i = 1, (#KEYS - 1) / 3 do
  local requests, window, pace, old_requests, old_window = terms(i)
  add(KEYS[3 * i - 2], requests, window)
  add(KEYS[3 * i], old_requests, old_window)
  if requests > 0 and pace > 0 then
    redis.call('HSET', KEYS[3 * i - 1], 'next', string.format('%.0f', nexts[i]))
    redis.call('PEXPIRE', KEYS[3 * i - 1], memory)
  end
end
return reply
