-- Says that a replica is there, and returns how many are. Times are microseconds of this server.
-- KEYS: the replicas by their last heartbeat. ARGV: the replica, and how long one is remembered.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- First what a server without memory refuses, as it then does of a script only until it has
-- written: a server that takes no admissions is not back because it took a heartbeat.
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
-- Of before the clock went back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[2], '+inf')
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[2] / 1000))
return redis.call('ZCARD', KEYS[1])
