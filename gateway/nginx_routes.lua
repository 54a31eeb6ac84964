-- Which routes serve now? The same file that Envoy would watch, read anew several times a second, and kept in memory that
-- all of nginx's workers share: what one of them says it serves, all of them serve, and a reload takes nothing away.
--
-- A file that is missing, half of it, or of a kind that is not known here changes nothing: what served before goes on.
-- One worker reads it, so that an older text can never replace a newer one.

local settings = require("tailramp.settings")
local json = require("cjson.safe")
local find = ngx.re.find
local shared = ngx.shared.tailramp

local PERIOD_SECONDS = 0.05
local TEXT, NUMBER = "routes", "routes number"

local routes = {}

-- The header and the test of one match, or nil and the reason why it is none that this gateway understands.
local function condition_of(match)
  if type(match) ~= "table" or match.prefix ~= "/" then
    return nil, "a match of something else than every path"
  end
  if match.headers == nil then
    return { always = true }
  end
  local header = match.headers[1]
  if #match.headers ~= 1 or type(header.string_match) ~= "table" then
    return nil, "a match of other headers than one"
  end
  local regex = header.string_match.safe_regex
  if regex ~= nil then
    local _, _, problem = find("", regex.regex, "jo")
    if problem then
      return nil, "a pattern that cannot be read: " .. problem
    end
    return { header = header.name, pattern = regex.regex }
  end
  if type(header.string_match.exact) ~= "string" then
    return nil, "a match that is neither exact nor a pattern"
  end
  return { header = header.name, exact = header.string_match.exact }
end

-- What an entry does with whoever it matches: a slot, or an answer of the gateway's own.
local function target_of(entry)
  local answer = entry.direct_response
  if answer ~= nil then
    local headers = {}
    for _, added in ipairs(entry.response_headers_to_add or {}) do
      headers[added.header.key] = added.header.value
    end
    return { answer = { status = answer.status, body = answer.body.inline_string, headers = headers } }
  end
  local slot = type(entry.route) == "table" and entry.route.cluster
  if not settings.slots[slot] then
    return nil, "no such slot as " .. tostring(slot)
  end
  return { slot = slot }
end

local function understood(text)
  local document, problem = json.decode(text)
  if document == nil then
    return nil, problem
  end
  local config = document.resources[1]
  if config.name ~= settings.route then
    return nil, "it is of the route " .. tostring(config.name)
  end
  local entries = {}
  for _, entry in ipairs(config.virtual_hosts[1].routes) do
    local condition, unknown = condition_of(entry.match)
    local target, missing = target_of(entry)
    if condition == nil or target == nil then
      return nil, unknown or missing
    end
    entries[#entries + 1] = { condition = condition, slot = target.slot, answer = target.answer }
  end
  if #entries == 0 or not entries[#entries].condition.always then
    return nil, "it leaves somebody without a route"
  end
  return { version = document.version_info, name = config.name, metadata = config.metadata, entries = entries }
end

-- Never raises: a document of another shape is one that is not understood.
local function parsed(text)
  local ok, made, problem = pcall(understood, text)
  if not ok then
    return nil, made
  end
  return made, problem
end

local held = { number = nil, made = nil }

-- What serves now, or nil before any routes could be read.
function routes.current()
  local number = shared:get(NUMBER)
  if number ~= held.number then
    -- The number is written after the text, so that this text is at least as new as that.
    local made, problem = parsed(shared:get(TEXT) or "")
    if made == nil then
      ngx.log(ngx.ERR, "the routes in memory are not understood: ", problem)
    end
    held.number, held.made = number, made
  end
  return held.made
end

-- The entry for a request with these headers, or nil before any routes could be read.
function routes.chosen(headers)
  local made = routes.current()
  if made == nil then
    return nil
  end
  for _, entry in ipairs(made.entries) do
    local condition = entry.condition
    local value = condition.header and headers[condition.header]
    if condition.always or (value ~= nil and value == condition.exact) then
      return entry
    end
    if value ~= nil and condition.pattern ~= nil and find(value, condition.pattern, "jo") then
      return entry
    end
  end
end

-- The entry of everyone whom no rule names.
function routes.default()
  local made = routes.current()
  return made and made.entries[#made.entries]
end

local last_read = nil

function routes.read()
  local file = io.open(settings.route_file, "rb")
  local text = file and file:read("*a")
  if file then
    file:close()
  end
  if text == nil or text == last_read then
    return
  end
  last_read = text
  if text == shared:get(TEXT) then
    return
  end
  shared:incr("routes attempted", 1, 0)
  local made, problem = parsed(text)
  local kept = false
  if made ~= nil then
    kept, problem = shared:safe_set(TEXT, text)
  end
  if not kept then
    shared:incr("routes rejected", 1, 0)
    ngx.log(ngx.ERR, settings.route_file, " is left out, and what served before goes on: ", problem)
    return
  end
  shared:incr(NUMBER, 1, 0)
end

-- Before there is any worker, so that the first user finds routes; after a reload what is in memory serves on.
function routes.prepare()
  if shared:get(TEXT) == nil then
    routes.read()
  end
end

function routes.follow()
  local function again(ending)
    if not ending then
      routes.read()
    end
  end
  assert(ngx.timer.every(PERIOD_SECONDS, again))
end

return routes
