-- What was sent to which slot, and how it was answered: in memory that all workers share and a reload leaves alone,
-- since these numbers prove that a candidate is no longer served.
--
-- A request is counted before it is sent. So one that failed to be sent is counted too, as it should: Envoy's two
-- counters for the sent and for those that a dead server refused are one number here.

local settings = require("tailramp.settings")
local shared = ngx.shared.tailramp

local CLIENT_HAS_GONE = 499

local counts = {}

-- The edges of Envoy's own histograms, in milliseconds.
counts.edges = {
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
}

-- Requests that this worker is waiting for, by slot. A worker that crashes never finishes them; its successor forgets
-- them.
local active = {}

local function active_key(slot, pid)
  return "active " .. slot .. " " .. pid
end

local function add_active(slot, change)
  active[slot] = (active[slot] or 0) + change
  if active[slot] > 0 then
    shared:set(active_key(slot, ngx.worker.pid()), active[slot])
  else
    shared:delete(active_key(slot, ngx.worker.pid()))
  end
end

function counts.active(slot)
  local sum, start = 0, active_key(slot, "")
  for _, key in ipairs(shared:get_keys(0)) do
    if key:sub(1, #start) == start then
      sum = sum + (shared:get(key) or 0)
    end
  end
  return sum
end

-- A predecessor of the same number that still finishes its users after a reload writes its count anew with each of them.
function counts.succeed()
  local place = "worker " .. ngx.worker.id()
  local before = shared:get(place)
  if before ~= nil then
    for slot in pairs(settings.slots) do
      shared:delete(active_key(slot, before))
    end
  end
  shared:set(place, ngx.worker.pid())
end

-- Seconds since this memory was made, and with it every count in it.
function counts.uptime()
  return ngx.now() - shared:get("started")
end

function counts.prepare()
  shared:safe_add("started", ngx.now())
end

function counts.of(key)
  return shared:get(key) or 0
end

function counts.erred(problem)
  shared:incr("errors", 1, 0)
  ngx.log(ngx.ERR, "a user is left without a bucket: ", problem)
end

function counts.sent(slot)
  ngx.ctx.tailramp_slot = slot
  shared:incr("sent " .. slot, 1, 0)
  add_active(slot, 1)
end

-- Envoy counts no answer that its user did not wait for, so neither does this.
function counts.ended()
  local slot = ngx.ctx.tailramp_slot
  if slot == nil then
    return
  end
  add_active(slot, -1)
  if ngx.status == CLIENT_HAS_GONE then
    return
  end
  shared:incr("class " .. slot .. " " .. math.floor(ngx.status / 100), 1, 0)
  local seconds = tonumber((ngx.var.upstream_response_time or ""):match("[%d.]+$")) or 0
  local milliseconds = seconds * 1000
  local place = #counts.edges + 1
  for index, edge in ipairs(counts.edges) do
    if milliseconds <= edge then
      place = index
      break
    end
  end
  shared:incr("time " .. slot .. " " .. place, 1, 0)
  shared:incr("time sum " .. slot, milliseconds, 0)
end

function counts.class(slot, class)
  return shared:get("class " .. slot .. " " .. class)
end

function counts.completed(slot)
  local sum = 0
  for class = 1, 5 do
    sum = sum + (counts.class(slot, class) or 0)
  end
  return sum
end

-- How many answers took no longer than each edge, how many there were, and how many milliseconds they took together.
function counts.times(slot)
  local upto, sum = {}, 0
  for index = 1, #counts.edges + 1 do
    sum = sum + counts.of("time " .. slot .. " " .. index)
    upto[index] = sum
  end
  return upto, sum, counts.of("time sum " .. slot)
end

return counts
