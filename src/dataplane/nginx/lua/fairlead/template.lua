-- Texts with parts of the request in them; as the routing room's template.ts. What they say is the client's, and harmless in a
-- header field only, where nginx itself lets no line end through.
local escape = ngx.escape_uri
local find, sub, gsub, lower = string.find, string.sub, string.gsub, string.lower

local _M = {}

-- Scheme that the client used, as a forwarder that is trusted says it.
function _M.scheme(found)
  local said = ngx.var.fl_forwarded_proto
  if said == "http" or said == "https" then return said end
  return found.scheme
end

local function header(name)
  local value = ngx.req.get_headers(0)[name]
  return type(value) == "table" and table.concat(value, ", ") or value
end
_M.header = header

-- The value of one cookie, or nil.
function _M.cookie(name)
  local text = header("cookie")
  if not text then return nil end
  for pair in text:gmatch("[^;]+") do
    local equals = find(pair, "=", 1, true)
    if equals and equals > 1 and sub(pair, 1, equals - 1):match("^%s*(.-)%s*$") == name then
      return sub(pair, equals + 1):match("^%s*(.-)%s*$")
    end
  end
  return nil
end

-- The first value of a parameter as it was sent: decoded, it could bring a line end into a header field.
local function argument(query, name)
  for pair in sub(query, 2):gmatch("[^&]+") do
    local key, value = pair:match("^([^=]*)=(.*)$")
    if key == name then return value end
  end
  return nil
end

-- As encodeURIComponent: these five need no escaping.
local function component(text)
  return (gsub(escape(text), "%%(2[1789A])", { ["21"] = "!", ["27"] = "'", ["28"] = "(", ["29"] = ")", ["2A"] = "*" }))
end
_M.component = component

local facts
facts = {
  scheme = _M.scheme,
  pass_access_scheme = _M.scheme,
  host = function(found) return found.host end,
  http_host = function() return ngx.var.fl_host end,
  server_port = function(found) return tostring(found.port) end,
  request_method = function() return ngx.req.get_method() end,
  uri = function(found) return found.path end,
  request_uri = function(found) return found.path .. found.query end,
  escaped_request_uri = function(found) return component(found.path .. found.query) end,
  args = function(found) return sub(found.query, 2) end,
  is_args = function(found) return sub(found.query, 1, 1) end,
  remote_addr = function() return ngx.var.remote_addr end,
  req_id = function() return ngx.var.fl_request_id end,
}
facts.best_http_host = facts.http_host
facts.document_uri = facts.uri
facts.query_string = facts.args
facts.the_real_ip = facts.remote_addr
facts.binary_remote_addr = facts.remote_addr
facts.request_id = facts.req_id

local function value_of(name, found)
  local fact = facts[name]
  if fact then return fact(found) end
  local kind, rest = name:match("^(%l+)_([%w_]+)$")
  if kind == "http" then return header(lower((gsub(rest, "_", "-")))) end
  if kind == "cookie" then return _M.cookie(rest) end
  if kind == "arg" then return argument(found.query, rest) end
  return nil
end

-- The text for a request.
function _M.render(template, found)
  local out = {}
  for i, part in ipairs(template) do
    out[i] = type(part) == "string" and part or value_of(part.variable, found) or ""
  end
  return table.concat(out)
end

return _M
