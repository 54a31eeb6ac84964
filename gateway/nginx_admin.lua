-- What tailramp and Prometheus ask of an Envoy, answered in Envoy's words: which routes serve, how many requests went
-- where, who is ready, and since when. So one router, one follower and one set of checks know both kinds of gateway.

local settings = require("tailramp.settings")
local counts = require("tailramp.counts")
local health = require("tailramp.health")
local routes = require("tailramp.routes")
local json = require("cjson.safe")

-- In an order that does not change from one answer to the next.
local slots = {}
for slot in pairs(settings.slots) do
  slots[#slots + 1] = slot
end
table.sort(slots)

local function statistics()
  local route = "http.gateway.rds." .. settings.route .. "."
  local attempted, rejected = counts.of("routes attempted"), counts.of("routes rejected")
  local made = {
    { "http.gateway.lua.errors", counts.of("errors") },
    { route .. "update_attempt", attempted },
    { route .. "update_rejected", rejected },
    { route .. "update_success", attempted - rejected },
  }
  for _, slot in ipairs(slots) do
    local start = "cluster." .. slot .. ".upstream_rq_"
    made[#made + 1] = { start .. "total", counts.of("sent " .. slot) }
    made[#made + 1] = { start .. "pending_failure_eject", 0 }
    made[#made + 1] = { start .. "completed", counts.completed(slot) }
    made[#made + 1] = { start .. "active", counts.active(slot) }
    for class = 1, 5 do
      local count = counts.class(slot, class)
      if count ~= nil then
        made[#made + 1] = { start .. class .. "xx", count }
      end
    end
  end
  return made
end

local answers = {}

answers["/stats"] = function(asked)
  local found, lines = {}, {}
  for _, each in ipairs(statistics()) do
    if asked.filter == nil or ngx.re.find(each[1], asked.filter) then
      found[#found + 1] = { name = each[1], value = each[2] }
      lines[#lines + 1] = each[1] .. ": " .. each[2] .. "\n"
    end
  end
  if asked.format ~= "json" then
    return table.concat(lines), "text/plain"
  end
  return '{"stats":' .. (#found > 0 and json.encode(found) or "[]") .. "}"
end

answers["/stats/prometheus"] = function()
  local lines = {}
  local function add(name, labels, slot, value)
    lines[#lines + 1] = ('envoy_cluster_upstream_rq_%s{%senvoy_cluster_name="%s"} %s'):format(name, labels, slot, value)
  end
  local function of_every_slot(name, kind, tell)
    lines[#lines + 1] = "# TYPE envoy_cluster_upstream_rq_" .. name .. " " .. kind
    for _, slot in ipairs(slots) do
      tell(slot)
    end
  end
  of_every_slot("total", "counter", function(slot)
    add("total", "", slot, counts.of("sent " .. slot))
  end)
  of_every_slot("completed", "counter", function(slot)
    add("completed", "", slot, counts.completed(slot))
  end)
  of_every_slot("active", "gauge", function(slot)
    add("active", "", slot, counts.active(slot))
  end)
  of_every_slot("xx", "counter", function(slot)
    for class = 1, 5 do
      local count = counts.class(slot, class)
      if count ~= nil then
        add("xx", ('envoy_response_code_class="%d",'):format(class), slot, count)
      end
    end
  end)
  of_every_slot("time", "histogram", function(slot)
    local upto, count, sum = counts.times(slot)
    for index, edge in ipairs(counts.edges) do
      add("time_bucket", ('le="%s",'):format(edge), slot, upto[index])
    end
    add("time_bucket", 'le="+Inf",', slot, count)
    add("time_sum", "", slot, sum)
    add("time_count", "", slot, count)
  end)
  return table.concat(lines, "\n") .. "\n", "text/plain; version=0.0.4"
end

answers["/config_dump"] = function()
  local made = routes.current()
  if made == nil then
    return '{"configs":[]}'
  end
  local config = { name = made.name, metadata = made.metadata }
  return json.encode({ configs = { { version_info = made.version, route_config = config } } })
end

answers["/clusters"] = function()
  local statuses = {}
  for index, slot in ipairs(slots) do
    local status = { eds_health_status = "HEALTHY" }
    if not health.is_ready(slot) then
      status.failed_active_health_check = true
    end
    statuses[index] = { name = slot, host_statuses = { { health_status = status } } }
  end
  return json.encode({ cluster_statuses = statuses })
end

answers["/server_info"] = function()
  return json.encode({
    version = "nginx/" .. ngx.var.nginx_version,
    state = routes.current() and "LIVE" or "INITIALIZING",
    uptime_current_epoch = ("%.3fs"):format(counts.uptime()),
    node = { id = "tailramp-gateway", cluster = "tailramp-gateway", metadata = { tailramp = settings.described } },
  })
end

answers["/ready"] = function()
  if routes.current() == nil then
    ngx.status = ngx.HTTP_SERVICE_UNAVAILABLE
    return "no routes yet\n", "text/plain"
  end
  return "LIVE\n", "text/plain"
end

local admin = {}

function admin.answer()
  local answer = answers[ngx.var.uri]
  if answer == nil then
    return ngx.exit(ngx.HTTP_NOT_FOUND)
  end
  if ngx.req.get_method() ~= "GET" then
    return ngx.exit(ngx.HTTP_NOT_ALLOWED)
  end
  local text, kind = answer(ngx.req.get_uri_args())
  ngx.header["Content-Type"] = kind or "application/json"
  ngx.print(text)
end

return admin
