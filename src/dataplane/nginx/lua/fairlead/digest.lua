-- Digest authentication (RFC 7616 with MD5); as the embedded data plane's digest.ts. A nonce is its time, some random bytes and a MAC
-- whose key comes from the users' hashes. Counts are in shared memory, so that each is good for one request of all workers.
local canonical = require "fairlead.canonical"
local guards = ngx.shared.fairlead_guards
local find, sub, lower, gsub, match = string.find, string.sub, string.lower, string.gsub, string.match
local md5, mac = ngx.md5, ngx.hmac_sha1

local _M = {}

-- Seconds for which a nonce is good.
local LIFETIME = 300

local keys = setmetatable({}, { __mode = "k" })

local function key_of(users)
  local key = keys[users]
  if not key then
    local list = {}
    for name, entry in pairs(users) do list[#list + 1] = name .. "\0" .. entry .. "\0" end
    table.sort(list)
    key = ngx.sha1_bin(table.concat(list))
    keys[users] = key
  end
  return key
end

local function url_safe(bytes)
  return (gsub(ngx.encode_base64(bytes), "[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" }))
end

local function nonce_for(users)
  local random = {}
  for i = 1, 9 do random[i] = string.char(math.random(0, 255)) end
  local text = string.format("%d", ngx.now() * 1000) .. "." .. url_safe(table.concat(random))
  return text .. "." .. url_safe(mac(key_of(users), text))
end

-- Age of a nonce of ours in seconds; nil for any other.
local function age_of(users, nonce)
  local text, time, given = match(nonce, "^((%d+)%.[%w_-]+)%.([%w_-]+)$")
  if not text or md5(url_safe(mac(key_of(users), text))) ~= md5(given) then return nil end
  return ngx.now() - tonumber(time) / 1000
end

local function is_same_target(uri, path, query)
  local target = gsub(uri, "^[Hh][Tt][Tt][Pp][Ss]?://[^/?]*", "")
  local mark = find(target, "?", 1, true)
  local clean = canonical.path(mark and sub(target, 1, mark - 1) or target)
  if not clean then return false end
  return gsub(clean, "//+", "/") == gsub(path, "//+", "/") and (mark and sub(target, mark) or "") == query
end

-- The fields of `Digest name=value, name="value"`; nil when it is none, or says a thing twice.
local function read(header)
  if lower(sub(header, 1, 7)) ~= "digest " then return nil end
  local fields, at = {}, 8
  while at <= #header do
    local from, to, name, value = find(header, '^%s*([%w*-]+)%s*=%s*"([^"\\]*)"%s*,?', at)
    if not from then from, to, name, value = find(header, '^%s*([%w*-]+)%s*=%s*([^%s",]+)%s*,?', at) end
    if not from then return nil end
    name = lower(name)
    if fields[name] then return nil end
    fields[name] = value
    at = to + 1
  end
  return fields
end

-- nil when the request is a user's; else the challenge. `users`: by `u` and name, `REALM:HASH`.
function _M.challenge(users, realm, found, header)
  local function unknown(stale)
    return 'Digest realm="' .. gsub(realm, '["\\]', "\\%0") .. '", qop="auth", algorithm=MD5, nonce="' .. nonce_for(users) .. '"'
      .. (stale and ", stale=true" or "")
  end
  local given = header and read(header)
  if not given then return unknown() end
  local nonce, uri, nc, cnonce = given.nonce or "", given.uri or "", given.nc or "", given.cnonce or ""
  if given.realm ~= realm or given.qop ~= "auth" or not match(nc, "^%x%x%x%x%x%x%x%x$") or cnonce == "" then return unknown() end
  if (given.algorithm or "MD5"):upper() ~= "MD5" or not is_same_target(uri, found.path, found.query) then return unknown() end
  local its_realm, hash = match(users["u" .. (given.username or "")] or "", "^(.*):(%x+)$")
  if its_realm ~= realm or #hash ~= 32 then return unknown() end
  local age = age_of(users, nonce)
  if not age then return unknown() end
  local wanted = md5(lower(hash) .. ":" .. nonce .. ":" .. nc .. ":" .. cnonce .. ":auth:" .. md5(ngx.req.get_method() .. ":" .. uri))
  if md5(wanted) ~= md5(lower(given.response or "")) then return unknown() end
  -- One that finds no room is not taken: it could come again.
  if age < 0 or age > LIFETIME or not guards:safe_add("n" .. nonce .. lower(nc), true, LIFETIME + 1) then return unknown(true) end
  return nil
end

return _M
