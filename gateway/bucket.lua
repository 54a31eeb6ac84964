-- Which bucket is this user in? Answered inside the gateway, once per request, before the route is chosen.
--
-- The answer must be byte for byte the one that `tailramp bucket` gives, or users would be served by another variant than
-- the one the plan counted them for; tests/vectors/buckets.json binds the two. `settings` is a table rendered in front of
-- this file: strategy, salt, resolution (100 or 10000) and identity {header, max_bytes}.
--
-- Envoy runs this text once per worker thread and each request as a coroutine in it. Nothing here yields, so requests may
-- share the message schedule of the hash.

local bit = require("bit")
local band, bor, bxor, bnot = bit.band, bit.bor, bit.bxor, bit.bnot
local lshift, rshift, ror, tobit = bit.lshift, bit.rshift, bit.ror, bit.tobit
local byte, char, format, rep = string.byte, string.char, string.format, string.rep
local floor = math.floor

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

-- The first two 32-bit words of SHA-256(message), unsigned; no strategy needs more of it.
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
  return h0 % 4294967296, h1 % 4294967296
end

-- A strategy maps (user id, settings) to a number from 0 to 9999.
local strategies = {}

function strategies.sha256(uid, settings)
  local high, low = sha256_words(settings.salt .. ":" .. uid)
  -- 48 bits modulo 10000, in two parts: nothing larger than 2^30 is ever divided.
  return (high % 10000 * 65536 + floor(low / 65536)) % 10000
end

-- The bucket as its header is written: two digits at resolution 100, four at 10000. Two digits are the parent of four.
local function bucket_of(uid, settings)
  local value = strategies[settings.strategy](uid, settings)
  if settings.resolution == 100 then
    return format("%02d", floor(value / 100))
  end
  return format("%04d", value)
end

-- Headers that mean something only when the gateway itself has written them. Spellings with underscores never get here:
-- the listener drops every header name that has one.
local GATEWAY_HEADERS = { "x-user-bucket", "x-user-bucket-2d", "x-tailramp-probe", "x-tailramp-variant" }

-- The user id exactly as it was sent, not trimmed, not folded, not decoded; or nil when there is none to trust. Two
-- identity headers are none: whichever of them were taken, the service behind might take the other.
local function user_id_of(headers, identity)
  if headers:getNumValues(identity.header) ~= 1 then
    return nil
  end
  local uid = headers:get(identity.header)
  if uid == "" or #uid > identity.max_bytes then
    return nil
  end
  return uid
end

-- The removal comes first and the bucket last, so that an error anywhere between leaves a request without a bucket, which
-- every route sends to the default.
function envoy_on_request(handle)
  local headers = handle:headers()
  for i = 1, #GATEWAY_HEADERS do
    headers:remove(GATEWAY_HEADERS[i])
  end
  local uid = user_id_of(headers, settings.identity)
  if uid ~= nil then
    headers:replace("x-user-bucket", bucket_of(uid, settings))
  end
end
