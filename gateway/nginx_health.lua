-- Is anybody there to go back to? Each slot is asked once a second, by its label, as Envoy asks: three failures and it
-- is gone, one good answer and it is back. Nobody is turned away by it.

local settings = require("tailramp.settings")
local shared = ngx.shared.tailramp

local PERIOD_SECONDS = 1
local LIMIT_MS = 1000
local FAILURES = 3

local health = {}

local function is_answered_well(slot)
  local socket = ngx.socket.tcp()
  socket:settimeouts(LIMIT_MS, LIMIT_MS, LIMIT_MS)
  if not socket:connect(settings.behind.host, settings.behind.port) then
    return false
  end
  local lines = {
    "GET " .. settings.probe_path .. " HTTP/1.1",
    "Host: " .. (settings.behind.name or slot),
    "User-Agent: tailramp/HC",
    settings.label_header .. ": " .. slot,
    "Connection: close",
  }
  socket:send(table.concat(lines, "\r\n") .. "\r\n\r\n")
  local status = socket:receive("*l")
  socket:close()
  return status ~= nil and status:match("^HTTP/1%.[01] 200") ~= nil
end

local function look(ending, slot)
  if ending then
    return
  end
  if is_answered_well(slot) then
    shared:set("failures " .. slot, 0)
  elseif shared:get("failures " .. slot) ~= nil then
    shared:incr("failures " .. slot, 1)
  end
end

-- A slot that has never answered is not there.
function health.is_ready(slot)
  local failures = shared:get("failures " .. slot)
  return failures ~= nil and failures < FAILURES
end

function health.follow()
  for slot in pairs(settings.slots) do
    assert(ngx.timer.at(0, look, slot))
    assert(ngx.timer.every(PERIOD_SECONDS, look, slot))
  end
end

return health
