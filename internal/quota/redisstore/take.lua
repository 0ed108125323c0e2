-- Takes an admission from all budgets, or from none. Times are microseconds of this server.
-- KEYS: for each budget its admissions, the newest first, its state, and its admissions by version 1;
-- then when a replica of version 1 was last seen.
-- ARGV: the time of an admission to give back first (0: none), then for each budget requests (0: only
-- pauses count), window, pace (0: not spread), and for version 1 requests (0: the same as above) and
-- window.
-- Reply: the wait (0: taken), the index of the budget that causes it, the time now, then for each budget
-- how long it is paused, negative if that is over, and how many millionths of its limit are left after
-- the pause.
local catch_up = 50000
local memory = 1200000 -- ms after a pause: the recovery from the lowest limit
local backwards = 1000000 -- if the clock goes back by more, what it said before means nothing

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local instead = ARGV[1]
local seen = tonumber(redis.call('GET', KEYS[#KEYS]) or 0)
local reply = {0, 0, now}
local nexts = {}

-- Only the key of version 1 has what version 1 admitted, and only the last of that. While a window may
-- hold any of it, version 1 therefore has to admit everything too. It admits less at once.
local function terms(i)
  local a = 5 * i - 3
  local requests, window, pace = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local old_requests, old_window = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  if seen <= now - window or seen > now + backwards then
    old_requests = 0
  end
  return requests, window, pace, old_requests, old_window
end

-- Returns when the admissions under a key have room for one more.
local function room(key, requests, window)
  if requests == 0 then
    return 0
  end
  local newest = tonumber(redis.call('LINDEX', key, 0) or 0)
  if newest > now + window then
    redis.call('DEL', key)
  end
  if instead ~= '0' then
    redis.call('LREM', key, 1, instead)
  end
  local last = redis.call('LINDEX', key, requests - 1)
  return last and last + window or 0
end

local function add(key, requests, window)
  if requests == 0 then
    return
  end
  redis.call('LPUSH', key, string.format('%.0f', now))
  -- This is more than this replica needs: others may know a higher limit or a longer window.
  redis.call('LTRIM', key, 0, 4 * requests - 1)
  local ttl = math.ceil(window / 1000) + 1000
  if redis.call('PTTL', key) < ttl then
    redis.call('PEXPIRE', key, ttl)
  end
end

for i = 1, (#KEYS - 1) / 3 do
  local key, state_key, old_key = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
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
    due = math.max(due, room(key, requests, window), room(old_key, old_requests, old_window))
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
