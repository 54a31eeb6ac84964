-- Which bucket is this user in? Answered inside the gateway, once per request, before the route is chosen.
--
-- The answer must be byte for byte the one that `tailramp bucket` gives, or users would be served by another variant than
-- the one the plan counted them for; tests/vectors/buckets.json binds the two. A signed probe may name the bucket
-- instead; its format is written down in tailramp/probe_token.py and bound by tests/vectors/probes.json.
--
-- `settings` is a table rendered in front of this file: strategy, salt, resolution (100 or 10000), allow and deny (sets of
-- the digests of users), identity {kind: header, cookie, claim or api_key; name; max_bytes} and probe {route, path,
-- window_ms, min_secret_bytes, secret_file or nil}; lease_file, or nil where an assignment never goes stale.
--
-- Envoy runs this text once per worker thread and each request as a coroutine in it; nginx once per worker process, with
-- nginx_request.lua as the handle that Envoy would give. Nothing yields while it hashes, so requests may share the message
-- schedule of the hash.

local bit = require("bit")
local band, bor, bxor, bnot = bit.band, bit.bor, bit.bxor, bit.bnot
local lshift, rshift, ror, tobit, tohex = bit.lshift, bit.rshift, bit.ror, bit.tobit, bit.tohex
local byte, char, format, sub, rep = string.byte, string.char, string.format, string.sub, string.rep
local find, gmatch, gsub, match = string.find, string.gmatch, string.gsub, string.match
local abs, floor = math.abs, math.floor

local K = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
for i = 1, 64 do K[i] = tobit(K[i]) end

local W = {}
for i = 1, 64 do W[i] = 0 end

-- The eight 32-bit words of SHA-256(message), signed as all of LuaJIT's bit operations are.
local function sha256_words(message)
  local length = #message
  local padded = message .. "\128" .. rep("\0", (55 - length) % 64) .. "\0\0\0\0"
    .. char(band(rshift(length, 21), 255), band(rshift(length, 13), 255), band(rshift(length, 5), 255), band(lshift(length, 3), 255))
  local h0, h1, h2, h3 = 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a
  local h4, h5, h6, h7 = 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19

  for block = 1, #padded, 64 do
    for i = 1, 16 do
      local a, b, c, d = byte(padded, block + 4 * i - 4, block + 4 * i - 1)
      W[i] = bor(lshift(a, 24), lshift(b, 16), lshift(c, 8), d)
    end
    for i = 17, 64 do
      local w2, w15 = W[i - 2], W[i - 15]
      local s1 = bxor(ror(w2, 17), ror(w2, 19), rshift(w2, 10))
      local s0 = bxor(ror(w15, 7), ror(w15, 18), rshift(w15, 3))
      W[i] = tobit(W[i - 16] + s0 + W[i - 7] + s1)
    end

    local a, b, c, d, e, f, g, h = h0, h1, h2, h3, h4, h5, h6, h7
    for i = 1, 64 do
      local s1 = bxor(ror(e, 6), ror(e, 11), ror(e, 25))
      local choice = bxor(band(e, f), band(bnot(e), g))
      local t1 = h + s1 + choice + K[i] + W[i]
      local s0 = bxor(ror(a, 2), ror(a, 13), ror(a, 22))
      local majority = bxor(band(a, b), band(a, c), band(b, c))
      h, g, f, e = g, f, e, tobit(d + t1)
      d, c, b, a = c, b, a, tobit(t1 + s0 + majority)
    end
    h0, h1, h2, h3 = tobit(h0 + a), tobit(h1 + b), tobit(h2 + c), tobit(h3 + d)
    h4, h5, h6, h7 = tobit(h4 + e), tobit(h5 + f), tobit(h6 + g), tobit(h7 + h)
  end
  return h0, h1, h2, h3, h4, h5, h6, h7
end

local function each_byte(text, change)
  return (gsub(text, ".", function(c) return char(change(byte(c))) end))
end

local function bytes_of_hex(text)
  return (gsub(text, "%x%x", function(pair) return char(tonumber(pair, 16)) end))
end

local function sha256_hex(message)
  local h0, h1, h2, h3, h4, h5, h6, h7 = sha256_words(message)
  return tohex(h0) .. tohex(h1) .. tohex(h2) .. tohex(h3) .. tohex(h4) .. tohex(h5) .. tohex(h6) .. tohex(h7)
end

-- HMAC-SHA-256 with this key, as a function from message to lower-case hexadecimal.
local function hmac_sha256(key)
  if #key > 64 then
    key = bytes_of_hex(sha256_hex(key))
  end
  key = key .. rep("\0", 64 - #key)
  local inner = each_byte(key, function(b) return bxor(b, 0x36) end)
  local outer = each_byte(key, function(b) return bxor(b, 0x5c) end)
  return function(message)
    return sha256_hex(outer .. bytes_of_hex(sha256_hex(inner .. message)))
  end
end

-- A strategy maps a user id to a number from 0 to 9999, or to nil where the id has no bucket. The last three of its
-- digits mean nothing to those that know 100 buckets. tailramp/buckets/strategies.py says what each is for.
local strategies = {}

function strategies.sha256(uid)
  local high, low = sha256_words(settings.salt .. ":" .. uid)
  -- 48 bits modulo 10000, in two parts: nothing larger than 2^32 is ever divided.
  return (high % 4294967296 % 10000 * 65536 + floor(low % 4294967296 / 65536)) % 10000
end

-- The last four bytes are the last four characters wherever they are the ASCII letters and digits that count here.
function strategies.legacy_base36(uid)
  local tail = match(sub(uid, -4), "^[0-9A-Za-z]+$")
  return tail and tonumber(tail, 36) % 100 * 100
end

function strategies.tail2(uid)
  local tail = match(sub(uid, -2), "^[0-9][0-9]$")
  return tail and tonumber(tail, 10) * 100
end

local strategy = strategies[settings.strategy]
local has_lists = next(settings.allow) ~= nil or next(settings.deny) ~= nil

-- What stands for a user in a list: the first 12 digits of the salted hash.
local function digest_of(uid)
  local high, low = sha256_words(settings.salt .. ":" .. uid)
  return tohex(high) .. sub(tohex(low), 1, 4)
end

-- The bucket as its header is written: two digits at resolution 100, four at 10000, of which two are the parent; nil
-- where a user has none.
local function bucket_of(uid)
  local value = nil
  if has_lists then
    local digest = digest_of(uid)
    if settings.deny[digest] then
      return nil
    end
    value = settings.allow[digest] and 0
  end
  value = value or strategy(uid)
  if not value then
    return nil
  end
  if settings.resolution == 100 then
    return format("%02d", floor(value / 100))
  end
  return format("%04d", value)
end

local probe = settings.probe

-- The function that signs, or nil when this gateway accepts no probes. The secret is in a file because Envoy shows this
-- text to everyone who may read its admin interface. Users are served without it.
local function probe_signer()
  if probe.secret_file == nil then
    return nil
  end
  local secret, problem = nil, nil
  local file, why = io.open(probe.secret_file, "rb")
  if file == nil then
    problem = why
  else
    secret, why = file:read("*a")
    file:close()
    if secret == nil then
      problem = probe.secret_file .. ": " .. tostring(why)
    else
      secret = gsub(secret, "[\r\n]+$", "")
      if #secret < probe.min_secret_bytes then
        problem = format("%s: %d bytes of secret, at least %d are needed", probe.secret_file, #secret, probe.min_secret_bytes)
      end
    end
  end
  if problem ~= nil then
    io.stderr:write("tailramp: no signed probe is accepted: ", problem, "\n")
    return nil
  end
  return hmac_sha256(secret)
end

local sign = probe_signer()

-- Takes the same time wherever two strings of one length differ.
local function same(left, right)
  if #left ~= #right then
    return false
  end
  local difference = 0
  for i = 1, #left do
    difference = bor(difference, bxor(byte(left, i), byte(right, i)))
  end
  return difference == 0
end

local NO_BUCKET = "-"

-- What a probe's value asks for: a bucket (NO_BUCKET for a user without one) and perhaps its two-dimensional key; nothing
-- if it makes no sense here.
local function asked_by(value)
  local uid = match(value, "^user=(%x+)$")
  if uid ~= nil then
    if #uid % 2 == 1 or #uid > 2 * settings.identity.max_bytes then
      return nil
    end
    return bucket_of(bytes_of_hex(uid)) or NO_BUCKET
  end
  local bucket, rest = match(value, "^bucket=(%d+)(.*)$")
  if bucket == nil or #bucket ~= (settings.resolution == 100 and 2 or 4) then
    return nil
  end
  if rest == "" then
    return bucket
  end
  local segment = match(rest, "^_([A-Z0-9]+)$")
  if segment == nil or #segment > 16 then
    return nil
  end
  return bucket, bucket .. rest
end

-- The bucket and two-dimensional key to set and the echo to answer with; nothing unless every word of the probe holds.
-- What is cheap to see is looked at first: a stranger must not be able to buy hashes.
local function accepted(handle, headers, signed)
  if sign == nil or #signed > 2 * settings.identity.max_bytes + 256 then
    return nil
  end
  if headers:get(":method") ~= "GET" or headers:get(":path") ~= probe.path then
    return nil
  end
  local value, time, nonce, mac = match(signed, "^v1;([^;]+);(%d+);(%x+);(%x+)$")
  if value == nil or #time ~= 13 or #nonce ~= 32 or #mac ~= 64 then
    return nil
  end
  if abs(tonumber(handle:timestamp()) - tonumber(time)) > probe.window_ms then
    return nil
  end
  local message = table.concat({ "tailramp-probe-v1", probe.route, "GET", probe.path, value, time, nonce }, "\n")
  if not same(sign(message), mac) then
    return nil
  end
  local bucket, key = asked_by(value)
  if bucket == nil then
    return nil
  end
  -- Not every body is announced by a header, so this waits for one where the request has not ended: last of all, when
  -- the sender is known.
  local body = handle:body()
  if body ~= nil and body:length() > 0 then
    return nil
  end
  return bucket, key, nonce .. ";" .. (key or bucket)
end

-- Headers that mean something only when the gateway itself has written them. Spellings with underscores never get here:
-- the gateway drops every header name that has one.
local GATEWAY_HEADERS = {
  "x-user-bucket", "x-user-bucket-2d", "x-tailramp-probe", "x-tailramp-probe-echo", "x-tailramp-variant", "x-tailramp-stale",
}
local METADATA = "tailramp.probe"

-- The value of a header that stands once. Two identity headers are none: whichever of them were taken, the service behind
-- might take the other.
local function only_value(headers, name)
  if headers:getNumValues(name) == 1 then
    return headers:get(name)
  end
end

-- Where a user id may stand. It is taken exactly as it was sent, not trimmed, not folded, not decoded.
local kinds = {}

function kinds.header(handle, name)
  return only_value(handle:headers(), name)
end

-- HTTP/2 may send cookies in several headers. A name that stands twice is none, as with headers.
function kinds.cookie(handle, name)
  local headers = handle:headers()
  local found = nil
  for i = 0, headers:getNumValues("cookie") - 1 do
    for pair in gmatch(headers:getAtIndex("cookie", i), "[^;]+") do
      local key, value = match(pair, "^%s*([^=]-)%s*=(.*)$")
      if key == name then
        if found ~= nil then
          return nil
        end
        found = match(value, "^(.-)%s*$")
      end
    end
  end
  return found
end

-- A claim of a token whose signature Envoy has verified before this runs; there is none of any other token. A number is
-- one that was written without a fraction and that every reader of JSON keeps.
function kinds.claim(handle, name)
  local verified = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.jwt_authn")
  local value = verified and verified.tailramp and verified.tailramp[name]
  if type(value) == "number" and value == floor(value) and abs(value) <= 9007199254740992 then
    return format("%.0f", value)
  end
  return type(value) == "string" and value or nil
end

-- The key as it is sent, without the word Bearer. Envoy joins two Authorization headers by a comma, and no key has one.
function kinds.api_key(handle, name)
  local value = only_value(handle:headers(), name)
  if value == nil or find(value, ",", 1, true) then
    return nil
  end
  return match(value, "^[Bb][Ee][Aa][Rr][Ee][Rr] +(.*)$") or value
end

-- The user id, or nil when there is none to trust.
local function user_id_of(handle, identity)
  local uid = kinds[identity.kind](handle, identity.name)
  if uid == nil or uid == "" or #uid > identity.max_bytes then
    return nil
  end
  return uid
end

local LOOK_MS = 250
local lease = { looked = -LOOK_MS, ends = 0 }

-- Whether the assignment that this gateway holds has not been confirmed for too long. Whoever writes the lease file may be
-- dead or cut off; the file is looked at a few times a second, and one that is missing or makes no sense has run out.
-- Where nobody is on a candidate that changes nothing: no route asks for the header.
local function is_stale(now)
  if settings.lease_file == nil then
    return false
  end
  if abs(now - lease.looked) >= LOOK_MS then
    local file = io.open(settings.lease_file, "rb")
    local said = file and file:read(32) or ""
    if file then
      file:close()
    end
    lease.looked = now
    lease.ends = tonumber(match(said, "^%d+$") or 0)
  end
  return now >= lease.ends
end

-- The removal comes first and the bucket last, so that an error anywhere between leaves a request without a bucket, which
-- every route sends to the default.
function envoy_on_request(handle)
  local headers = handle:headers()
  local signed = headers:getNumValues("x-tailramp-probe") == 1 and headers:get("x-tailramp-probe") or nil
  for i = 1, #GATEWAY_HEADERS do
    headers:remove(GATEWAY_HEADERS[i])
  end
  if settings.lease_file ~= nil and is_stale(tonumber(handle:timestamp())) then
    headers:replace("x-tailramp-stale", "1")
  end
  if signed ~= nil then
    local bucket, key, echo = accepted(handle, headers, signed)
    -- What was taken from the handle before it waited is dead to Envoy after it.
    headers = handle:headers()
    if bucket ~= nil then
      handle:streamInfo():dynamicMetadata():set(METADATA, "echo", echo)
      if bucket ~= NO_BUCKET then
        headers:replace("x-user-bucket", bucket)
      end
      if key ~= nil then
        headers:replace("x-user-bucket-2d", key)
      end
      return
    end
  end
  local uid = user_id_of(handle, settings.identity)
  local bucket = uid and bucket_of(uid)
  if bucket then
    headers:replace("x-user-bucket", bucket)
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  headers:remove("x-tailramp-probe-echo")
  local said = handle:streamInfo():dynamicMetadata():get(METADATA)
  if said ~= nil then
    headers:replace("x-tailramp-probe-echo", said.echo)
  end
end
