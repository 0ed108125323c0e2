-- Notes that a replica is there, and returns how many are. Times are microseconds of this server.
-- KEYS: the replicas by their last heartbeat, and when one of version 1 was last seen. ARGV: the
-- replica, how long a replica is remembered, and how many ms the second key lasts.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- This comes first because a server without memory refuses it, as it refuses writes only until the
-- script has written: a server that takes no admissions is not back because it took a heartbeat.
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
-- These are from before the clock went back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[2], '+inf')
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[2] / 1000))
local replicas = redis.call('ZRANGE', KEYS[1], 0, -1)
for _, replica in ipairs(replicas) do
  if not string.find(replica, '^%d+:') then
    redis.call('SET', KEYS[2], string.format('%.0f', now), 'PX', ARGV[3])
    break
  end
end
return #replicas
