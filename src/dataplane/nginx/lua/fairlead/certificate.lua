-- The certificate for a handshake: exact name, then wildcard (one label), then the one for any name.
local rows = require "fairlead.rows"
local matching = require "fairlead.match"
local clients = require "fairlead.clients"
local ssl = require "ngx.ssl"

local _M = {}

-- Parsed key pairs by their rows: a row that changes is another table.
local parsed = setmetatable({}, { __mode = "k" })

local function row_for(id)
  local listener = rows.get("listener/" .. id)
  if not listener then return nil end
  local name = string.lower(ssl.server_name() or "")
  local server = matching.server_name(listener, name)
  if not server then return nil end
  local at = "certificate/" .. id .. "/" .. server .. "/"
  local found = name ~= "" and rows.get(at .. name)
  if found then return found end
  local dot = name:find(".", 1, true)
  found = dot and dot > 1 and rows.get(at .. "*" .. name:sub(dot))
  return found or rows.get(at)
end

-- Asks the client for a certificate where its server name wants one. Where one is no must, what it is worth is for the routes to say.
local function ask(id)
  local listener = rows.get("listener/" .. id)
  local server = listener and matching.server_name(listener, string.lower(ssl.server_name() or ""))
  local row = rows.get(server and "clients/" .. id .. "/" .. server or "clients/" .. id)
  if not row then return end
  local ok, why = clients.ask(row)
  if not ok then
    ngx.log(ngx.ERR, "authorities of clients can not be used: ", why)
    return ngx.exit(ngx.ERROR)
  end
end

-- Without a certificate the default one is served.
function _M.select(id)
  rows.refresh()
  ask(id)
  local row = row_for(id)
  if not row then return end
  local pair = parsed[row]
  if not pair then
    local chain, why = ssl.parse_pem_cert(row.certificate)
    local key
    if chain then key, why = ssl.parse_pem_priv_key(row.key) end
    if not key then
      ngx.log(ngx.ERR, "a certificate can not be used: ", why)
      return
    end
    pair = { chain = chain, key = key }
    parsed[row] = pair
  end
  ssl.clear_certs()
  local ok, err = ssl.set_cert(pair.chain)
  if ok then ok, err = ssl.set_priv_key(pair.key) end
  if not ok then
    ngx.log(ngx.ERR, "a certificate can not be used: ", err)
    return ngx.exit(ngx.ERROR)
  end
end

return _M
