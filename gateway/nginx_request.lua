-- One request in nginx: the bucket by the very text that Envoy runs, then the slot by the routes.
--
-- That text speaks to a handle of Envoy's, so here is one, over a copy of the request's headers. Nothing that it takes
-- away or writes touches the request itself: nginx.conf names every header that only the gateway may write, and nginx
-- overwrites each of them with a variable that is empty unless it is set at the end of this. An error anywhere leaves
-- the user without a bucket, and so on the default.

local ffi = require("ffi")
local bucket = require("tailramp.bucket")
local counts = require("tailramp.counts")
local routes = require("tailramp.routes")

ffi.cdef([[
  typedef struct { long seconds; long microseconds; } tailramp_time;
  int gettimeofday(tailramp_time *time, void *zone);
]])
local now = ffi.new("tailramp_time")

local function trimmed(value)
  return (value:match("^[ \t]*(.-)[ \t]*$"))
end

local Headers = {}
Headers.__index = Headers

function Headers:all(name)
  local value = self.values[name]
  if type(value) == "table" then
    return value
  end
  return value ~= nil and { value } or {}
end

function Headers:getNumValues(name)
  return #self:all(name)
end

function Headers:getAtIndex(name, index)
  local value = self:all(name)[index + 1]
  return value and trimmed(value)
end

function Headers:get(name)
  if name == ":method" then
    return ngx.req.get_method()
  end
  if name == ":path" then
    return ngx.var.request_uri
  end
  return self:getAtIndex(name, 0)
end

function Headers:remove(name)
  self.values[name] = nil
end

function Headers:replace(name, value)
  self.values[name] = value
end

local Body = {}
Body.__index = Body

function Body:length()
  -- A body that was too long for memory is in a file.
  local data = ngx.req.get_body_data()
  return data and #data or (ngx.req.get_body_file() and 1 or 0)
end

local Metadata = {}
Metadata.__index = Metadata

function Metadata:get(filter)
  return self.filters[filter]
end

function Metadata:set(filter, key, value)
  self.filters[filter] = self.filters[filter] or {}
  self.filters[filter][key] = value
end

local Handle = {}
Handle.__index = Handle

local function new_handle()
  local values = setmetatable(ngx.req.get_headers(0), nil)
  return setmetatable({
    request_headers = setmetatable({ values = values }, Headers),
    metadata = setmetatable({ filters = {} }, Metadata),
  }, Handle)
end

function Handle:headers()
  return self.request_headers
end

-- Milliseconds, as they are and not as they were when nginx last looked: a worker that was frozen since then would trust a
-- lease that is over. nginx's own look must not be renewed for it, or connections that it has not yet seen accepted would
-- count as too slow.
function Handle:timestamp()
  ffi.C.gettimeofday(now, nil)
  return tonumber(now.seconds) * 1000 + math.floor(tonumber(now.microseconds) / 1000)
end

function Handle:body()
  ngx.req.read_body()
  return setmetatable({}, Body)
end

function Handle:streamInfo()
  return self
end

function Handle:dynamicMetadata()
  return self.metadata
end

local function answered(answer)
  ngx.status = answer.status
  for name, value in pairs(answer.headers) do
    ngx.header[name] = value
  end
  ngx.print(answer.body)
  ngx.exit(ngx.HTTP_OK)
end

local request = {}

function request.decide()
  local handle = new_handle()
  local ok, problem = pcall(bucket.on_request, handle)
  if not ok then
    counts.erred(problem)
  end
  local written = handle:headers().values
  local chosen, entry = pcall(routes.chosen, written)
  if not chosen then
    counts.erred(entry)
    entry = routes.default()
  end
  if entry == nil then
    return ngx.exit(ngx.HTTP_SERVICE_UNAVAILABLE)
  end
  local said = handle:dynamicMetadata():get("tailramp.probe")
  ngx.var.tailramp_echo = ok and said and said.echo or ""
  if entry.answer ~= nil then
    return answered(entry.answer)
  end
  ngx.var.tailramp_bucket = written["x-user-bucket"] or ""
  ngx.var.tailramp_key = written["x-user-bucket-2d"] or ""
  ngx.var.tailramp_slot = entry.slot
  counts.sent(entry.slot)
end

return request
