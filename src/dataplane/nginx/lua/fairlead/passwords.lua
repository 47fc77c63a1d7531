-- Whether a password belongs to an entry of an htpasswd file: MD5 in 1,000 rounds (`$apr1$`, `$1$`), `{SHA}`, `{SSHA}`, `{PLAIN}`, and
-- what crypt(3) knows. As with nginx's own module, a hash that is slow to work out holds up its worker: so slow ones are not taken.
local ffi = require "ffi"
local md5, sha1, decode64 = ngx.md5_bin, ngx.sha1_bin, ngx.decode_base64
local sub, byte, char, match, rep = string.sub, string.byte, string.char, string.match, string.rep
local bit = require "bit"

pcall(ffi.cdef, "char *crypt(const char *, const char *);")

local _M = {}

local LETTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
-- Verdicts that are remembered; only those that were right.
local MOST = 1024
local right, count = {}, 0

local function same(a, b)
  -- In a time that says nothing of where they differ.
  local left, other = sha1(a), sha1(b)
  local differs = 0
  for i = 1, 20 do differs = bit.bor(differs, bit.bxor(byte(left, i), byte(other, i))) end
  return differs == 0
end

local function md5_crypt(password, salt, magic)
  local alternate = md5(password .. salt .. password)
  local first = { password, magic, salt }
  local left = #password
  while left > 0 do
    first[#first + 1] = sub(alternate, 1, math.min(16, left))
    left = left - 16
  end
  local bits = #password
  while bits > 0 do
    first[#first + 1] = bit.band(bits, 1) == 1 and "\0" or sub(password, 1, 1)
    bits = bit.rshift(bits, 1)
  end
  local digest = md5(table.concat(first))
  for round = 0, 999 do
    local odd = round % 2 == 1
    digest = md5((odd and password or digest) .. (round % 3 ~= 0 and salt or "") .. (round % 7 ~= 0 and password or "")
      .. (odd and digest or password))
  end
  local out = {}
  local function letters(value, size)
    for _ = 1, size do
      local at = bit.band(value, 63) + 1
      out[#out + 1] = sub(LETTERS, at, at)
      value = bit.rshift(value, 6)
    end
  end
  for _, triple in ipairs { { 0, 6, 12 }, { 1, 7, 13 }, { 2, 8, 14 }, { 3, 9, 15 }, { 4, 10, 5 } } do
    local a, b, c = byte(digest, triple[1] + 1), byte(digest, triple[2] + 1), byte(digest, triple[3] + 1)
    letters(a * 65536 + b * 256 + c, 4)
  end
  letters(byte(digest, 12), 2)
  return magic .. salt .. "$" .. table.concat(out)
end

-- Work that ends soon: bcrypt up to 2^12, SHA-2 up to 50,000 rounds, traditional DES.
local function is_crypt(entry)
  local cost = match(entry, "^%$2[aby]%$(%d%d)%$[./%w]+$")
  if cost then return #entry == 60 and tonumber(cost) <= 12 end
  local kind = sub(entry, 1, 3)
  if kind == "$5$" or kind == "$6$" then
    local rounds = match(entry, "^%$[56]%$rounds=(%d+)%$[^$:%s]*%$[./%w]+$")
    if rounds then return #rounds < 6 and tonumber(rounds) <= 50000 end
    return match(entry, "^%$[56]%$[^$:%s]*%$[./%w]+$") ~= nil
  end
  return #entry == 13 and match(entry, "^[./%w]+$") ~= nil
end

local function verify(password, entry)
  local kind, salt = match(entry, "^%$(%w+)%$([^$]+)%$")
  if (kind == "apr1" or kind == "1") and #salt <= 8 then return same(md5_crypt(password, salt, "$" .. kind .. "$"), entry) end
  if sub(entry, 1, 5) == "{SHA}" then return same(ngx.encode_base64(sha1(password)), sub(entry, 6)) end
  if sub(entry, 1, 7) == "{PLAIN}" then return same(password, sub(entry, 8)) end
  if sub(entry, 1, 6) == "{SSHA}" then
    local bytes = decode64(sub(entry, 7)) or ""
    return #bytes > 20 and same(sha1(password .. sub(bytes, 21)), sub(bytes, 1, 20))
  end
  if not is_crypt(entry) or password:find("\0", 1, true) then return false end
  local known, hash = pcall(ffi.C.crypt, password, entry)
  if not known or hash == nil then return false end
  return same(ffi.string(hash), entry)
end

function _M.fits(password, entry)
  -- What is remembered is of no use without the entry itself.
  local id = sha1(entry .. "\0" .. password)
  if right[id] then return true end
  if not verify(password, entry) then return false end
  if count >= MOST then right, count = {}, 0 end
  right[id] = true
  count = count + 1
  return true
end

-- True for name and password of a user, as the Authorization field has them.
function _M.knows(users, field)
  local encoded = field and match(field, "^[Bb][Aa][Ss][Ii][Cc] +([%w+/=]+)$")
  local text = encoded and decode64(encoded)
  local name, password = match(text or "", "^([^:]*):(.*)$")
  local entry = name and users["u" .. name]
  return entry ~= nil and _M.fits(password, entry)
end

return _M
