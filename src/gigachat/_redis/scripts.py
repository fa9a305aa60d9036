"""The script of the shared limit, which Redis runs as one step.

Each credential has five keys with one hash tag: the sorted sets `leases` (member -> expiry), `queue` (member -> number
in the queue) and `processes` (process -> expiry), the hash `state`, and the string `cooldown`. While `cooldown` exists,
no slot is given. A member is `process:number:limit`. Times are milliseconds of the clock of Redis. A process tells
which slots it has released, holds and wants; it may tell the same again at any time.

A free slot is offered to the first process of the queue that is alive. An offer is a short lease; a message tells the
process of it, and the process takes it by asking for it once more. If Redis has lost its data, no slot is given for
`SETTLE` seconds, in which each process tells what it holds.
"""

from __future__ import annotations

LEASE = 30.0
"""Seconds after which the slots of a process that has died are free."""

OFFER = 3.0
"""Seconds in which a process must take a slot that it was offered."""

ASK_AGAIN = 1.0
"""Seconds after which a waiting process asks whether it was offered a slot: the message may have been lost."""

ASKS = 2000
"""Such questions of all waiting processes in a second; with more processes, each asks less often."""

ALIVE = 10.0
"""Seconds for which a waiting process counts as alive, if it does not wait longer than a third of it to ask again."""

SETTLE = 2.0
"""Seconds without new slots after Redis has lost its data."""

KEEP = 600.0
"""Seconds after which Redis forgets what no process uses."""

KEYS = ("leases", "queue", "processes", "state", "cooldown")


def key(credential: str, name: str) -> str:
    """Return the name of a key; the braces keep the keys of a credential on one node of a cluster."""
    return f"gigachat:{{{credential}}}:{name}"


def channel(process: str) -> str:
    """Return the name of the channel that tells a process of its offers."""
    return f"gigachat:offers:{process}"


# ARGV: process, milliseconds it is alive, life of the data as the process knows it, milliseconds of a cooldown,
# numbers of members released, held and wanted, then these members.
# Returns the number of living processes, milliseconds until the process should ask again, milliseconds of the
# cooldown, the life of the data, then the members of this process that now have a slot. Only the first process of the
# queue is told when to ask again; the others get -1, so that they do not all ask at once.
EXCHANGE = f"""
local leases, queue, processes, state, cooldown = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local LEASE, OFFER, SETTLE, KEEP = {LEASE * 1000:.0f}, {OFFER * 1000:.0f}, {SETTLE * 1000:.0f}, {KEEP * 1000:.0f}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local me, alive, life, cooling = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local released, held, wanted = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

redis.call('ZREMRANGEBYSCORE', leases, '-inf', now)
redis.call('ZREMRANGEBYSCORE', processes, '-inf', now)
redis.call('ZADD', processes, now + alive, me)

local real = redis.call('HGET', state, 'life')
if not real then
  real = time[1] .. '.' .. time[2]
  redis.call('HSET', state, 'life', real)
end
if life ~= '' and life ~= real then
  redis.call('HSETNX', state, 'settled', now + SETTLE)
end
if cooling > 0 and redis.call('PTTL', cooldown) < cooling then
  redis.call('SET', cooldown, 1, 'PX', cooling)
end

local at = 8
for i = at, at + released - 1 do
  redis.call('ZREM', leases, ARGV[i])
  redis.call('ZREM', queue, ARGV[i])
end
at = at + released
for i = at, at + held - 1 do
  redis.call('ZADD', leases, now + LEASE, ARGV[i])
end
at = at + held
local granted = {{}}
for i = at, at + wanted - 1 do
  if redis.call('ZSCORE', leases, ARGV[i]) then
    redis.call('ZADD', leases, now + LEASE, ARGV[i])
    granted[#granted + 1] = ARGV[i]
  elseif not redis.call('ZSCORE', queue, ARGV[i]) then
    redis.call('ZADD', queue, redis.call('HINCRBY', state, 'number', 1), ARGV[i])
  end
end

local again = -1
local cool = math.max(redis.call('PTTL', cooldown), 0)
local pause = math.max(cool, (tonumber(redis.call('HGET', state, 'settled')) or 0) - now)
while true do
  local first = redis.call('ZRANGE', queue, 0, 0)[1]
  if not first then
    break
  end
  local process, limit = string.match(first, '^([^:]+):%d+:(%d+)$')
  if not redis.call('ZSCORE', processes, process) then
    redis.call('ZREM', queue, first)
  elseif pause > 0 then
    again = process == me and pause or -1
    break
  elseif redis.call('ZCARD', leases) >= tonumber(limit) then
    if process == me then
      local soonest = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')
      again = math.max(tonumber(soonest[2]) - now, 0) + 1
    end
    break
  else
    redis.call('ZREM', queue, first)
    if process == me then
      redis.call('ZADD', leases, now + LEASE, first)
      granted[#granted + 1] = first
    else
      redis.call('ZADD', leases, now + OFFER, first)
      redis.call('PUBLISH', '{channel("")}' .. process, first)
    end
  end
end

for i = 1, 4 do
  redis.call('PEXPIRE', KEYS[i], KEEP)
end
table.insert(granted, 1, real)
table.insert(granted, 1, cool)
table.insert(granted, 1, again)
table.insert(granted, 1, redis.call('ZCARD', processes))
return granted
"""
