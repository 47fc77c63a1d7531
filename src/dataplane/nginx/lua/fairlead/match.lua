-- Where a request goes: the precedence of the routing room's `matchOn` (match.ts), on rows.
local rows = require "fairlead.rows"
local byte, find, sub, gsub = string.byte, string.find, string.sub, string.gsub
local ngx_find = ngx.re.find

local _M = {}

-- Name of the server of a listener that has a host: exact, then the longest wildcard, then that for any; or nil.
function _M.server_name(listener, host)
  local names = listener.names
  if listener.servers == 1 and names[""] then return "" end
  if host ~= "" then
    if names[host] then return host end
    local dot = find(host, ".", 1, true)
    while dot and dot > 1 do
      local name = "*" .. sub(host, dot)
      if names[name] then return name end
      dot = find(host, ".", dot + 1, true)
    end
  end
  return names[""] and "" or nil
end

-- Expressions are of RE2's syntax, which checked them; \z as `$` would let a line end through.
local function whole(pattern, text)
  local from = ngx_find(text, "^(?:" .. pattern .. ")\\z", "jo")
  return from ~= nil
end

local function holds(field, actual)
  if actual == nil then return false end
  if field.regex then return whole(field.value, actual) end
  return actual == field.value
end

local function header(name)
  local value = ngx.req.get_headers(0)[name]
  if type(value) == "table" then return table.concat(value, ", ") end
  return value
end

-- Of several values the first counts. Names and values are decoded as URLSearchParams does.
local function query(name)
  local text = ngx.var.args
  if not text then return nil end
  for pair in text:gmatch("[^&]+") do
    local equals = find(pair, "=", 1, true)
    local key = equals and sub(pair, 1, equals - 1) or pair
    local plain = key:gsub("%+", " ")
    if ngx.unescape_uri(plain) == name then
      local value = equals and sub(pair, equals + 1):gsub("%+", " ") or ""
      return ngx.unescape_uri(value)
    end
  end
  return nil
end

local function accepts(route)
  if route.method and route.method ~= ngx.req.get_method() then return false end
  if route.headers then
    for _, field in ipairs(route.headers) do
      if not holds(field, header(field.name)) then return false end
    end
  end
  if route.query then
    for _, field in ipairs(route.query) do
      if not holds(field, query(field.name)) then return false end
    end
  end
  return true
end

-- The first route that takes the request, and whether host and path alone said so.
local function first(routes, pure)
  if not routes then return nil, pure end
  for i = 1, #routes do
    local route = routes[i]
    if route.method or route.headers or route.query then pure = false end
    if accepts(route) then return route, pure end
  end
  return nil, pure
end

local function in_host(row, path, pure)
  local route
  if row.mergeSlashes and find(path, "//", 1, true) then path = gsub(path, "//+", "/") end
  route, pure = first(row.exact["p" .. path], pure)
  if route then return route, pure, path end
  local regex = row.regex
  for i = 1, #regex do
    if whole(regex[i].path.value, path) then
      route, pure = first({ regex[i] }, pure)
      if route then return route, pure, path end
    end
  end
  if row.hasPrefix then
    -- Cuts the path at its slashes from the right, from the longest prefix on.
    local stop = #path
    if stop > row.longestPrefix then
      stop = row.longestPrefix + 1
      while stop > 0 and byte(path, stop) ~= 47 do stop = stop - 1 end
      stop = stop - 1
    end
    while true do
      route, pure = first(row.prefix["p" .. sub(path, 1, stop)], pure)
      if route then return route, pure, path end
      if stop <= 0 then break end
      while stop > 0 and byte(path, stop) ~= 47 do stop = stop - 1 end
      stop = stop - 1
      if stop < 0 then stop = 0 end
    end
  end
  return row.fallback, pure, path
end

-- The route for a canonical host and path on a server, whether the answer is the same for all requests with them, and the path as it
-- was matched.
function _M.route(id, name, host, path)
  local at = id .. "/" .. name
  local server = rows.get("server/" .. at)
  if not server then return nil, true end
  local gateway = server.semantics == "Gateway"
  local pure = true
  local route, matched
  at = "host/" .. server.hosts .. "/"
  if host ~= "" then
    local row = rows.get(at .. host)
    if row then
      route, pure, matched = in_host(row, path, pure)
      if route then return route, pure, matched end
      if not gateway then return server.fallback, pure, matched end
    end
    if server.wildcards then
      local dot = find(host, ".", 1, true)
      while dot and dot > 1 do
        row = rows.get(at .. "*" .. sub(host, dot))
        if row then
          route, pure, matched = in_host(row, path, pure)
          if route then return route, pure, matched end
          if not gateway then return server.fallback, pure, matched end
        end
        if not gateway then break end
        dot = find(host, ".", dot + 1, true)
      end
    end
  end
  local any = rows.get(at)
  if any then
    route, pure, matched = in_host(any, path, pure)
    if route then return route, pure, matched end
  end
  return server.fallback, pure, path
end

return _M
