/**
 * The part of HAProxy's program that does digest authentication (RFC 7616 with MD5), as the embedded data plane's `digest.ts`. A nonce is its
 * time, an id and a MAC whose key comes from the users' hashes. Which counts have come is in a stick table, for all threads.
 */
export const luaDigest = String.raw`
-- Seconds for which a nonce is good.
local lifetime = 300

local digest_keys = setmetatable({}, { __mode = "k" })

local function digest_key(txn, row)
  local key = digest_keys[row]
  if not key then
    local list = {}
    for i, user in ipairs(row) do list[i] = user[1] .. "\0" .. user[2] .. "\0" end
    key = txn.c:base64(txn.c:sha1(table.concat(list)))
    digest_keys[row] = key
  end
  return key
end

local function md5_hex(txn, text) return txn.c:hex(txn.c:digest(text, "md5")):lower() end

local function signed(txn, row, text) return text .. "." .. txn.c:hex(txn.c:hmac(text, "sha256", digest_key(txn, row))):lower() end

-- Age of a nonce of ours in seconds; nil for any other.
local function nonce_age(txn, row, nonce)
  local text, time = nonce:match("^((%d+)%.[%x-]+)%.%x+$")
  if not text or not same(txn, signed(txn, row, text), nonce) then return nil end
  return core.now().sec - tonumber(time)
end

local function is_same_target(uri, request)
  local target = uri:gsub("^[Hh][Tt][Tt][Pp][Ss]?://[^/?]*", "")
  local mark = target:find("?", 1, true)
  local clean = canonical_path(mark and target:sub(1, mark - 1) or target)
  if not clean then return false end
  return clean:gsub("//+", "/") == request.path:gsub("//+", "/") and (mark and target:sub(mark) or "") == request.query
end

-- What a field Digest name=value, name="value" says; nil when it is none, or says a thing twice.
local function digest_fields(field)
  if not field or field:sub(1, 7):lower() ~= "digest " then return nil end
  local said, at = {}, 8
  while at <= #field do
    local from, to, name, value = field:find('^%s*([%w*-]+)%s*=%s*"([^"\\]*)"%s*,?', at)
    if not from then from, to, name, value = field:find('^%s*([%w*-]+)%s*=%s*([^%s",]+)%s*,?', at) end
    if not from or said[name:lower()] then return nil end
    said[name:lower()] = value
    at = to + 1
  end
  return said
end

local function ask_digest(txn, state, part, row, stale)
  local text = string.format("%d", core.now().sec) .. "." .. txn.sf:uuid()
  local realm = part[2]:gsub('["\\]', "\\%0")
  state.answer(401, "A name and a password are needed.", { "www-authenticate",
    'Digest realm="' .. realm .. '", qop="auth", algorithm=MD5, nonce="' .. signed(txn, row, text) .. '"' .. (stale and ", stale=true" or "") })
end

policies["digest"] = function(part, state)
  if state.trusted then return false end
  local txn, request = state.txn, state.request
  local row = row_of(part[3]) or {}
  state.stranger = false
  -- After the limits, so that whoever tries answers comes to their end.
  local function refuse(stale)
    state.refuse = function() ask_digest(txn, state, part, row, stale) end
    return false
  end
  local given = digest_fields(header(request, "authorization"))
  if not given then return refuse() end
  local nonce, uri, nc, cnonce = given.nonce or "", given.uri or "", given.nc or "", given.cnonce or ""
  if given.realm ~= part[2] or given.qop ~= "auth" or not nc:match("^%x%x%x%x%x%x%x%x$") or cnonce == "" then return refuse() end
  if (given.algorithm or "MD5"):upper() ~= "MD5" or not is_same_target(uri, request) then return refuse() end
  local its_realm, hash
  for _, user in ipairs(row) do
    if user[1] == given.username then its_realm, hash = user[2]:match("^(.*):(%x+)$") end
  end
  if its_realm ~= part[2] or #hash ~= 32 then return refuse() end
  local age = nonce_age(txn, row, nonce)
  if not age then return refuse() end
  local wanted = md5_hex(txn, table.concat({ hash:lower(), nonce, nc, cnonce, "auth", md5_hex(txn, request.method .. ":" .. uri) }, ":"))
  if not same(txn, wanted, (given.response or ""):lower()) then return refuse() end
  if age < 0 or age > lifetime then return refuse(true) end
  state.counted = { part = part, row = row }
  txn:set_var("txn.nonce", txn.c:hex(txn.c:sha1(nonce .. " " .. nc:lower())))
  return false
end

-- Whether a count came for the first time; where not, or where there was no room for it, the client is asked again.
local function is_counted(txn, state)
  if not state.counted or txn.f:sc2_inc_gpc0() == 1 then return true end
  ask_digest(txn, state, state.counted.part, state.counted.row, true)
  return false
end
`;
