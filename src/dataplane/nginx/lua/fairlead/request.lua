-- What is done with each request. `decide` runs in the rewrite phase of every request and must cost little: the usual
-- request, which a route without filters passes on to a pool as it is, is found in one table. All else goes to full.lua.
local rows = require "fairlead.rows"
local canonical = require "fairlead.canonical"
local matching = require "fairlead.match"
local full = require "fairlead.full"
local report = require "fairlead.report"
local trace = require "fairlead.trace"
local balancer = require "ngx.balancer"
local variable = require "fairlead.var"
local get, set = variable.get, variable.set
local byte, find, sub, lower, gsub, random = string.byte, string.find, string.sub, string.lower, string.gsub, math.random
local tohex = require("bit").tohex

local _M = {}

local WORD = 0xffffffff

-- Decisions that a worker remembers at most, each for a listener, host and target.
local MOST = 4096
-- By listener and Host, then by target: a key of all three would be a new string for each request.
local known, known_count = {}, 0
-- Rows of pools by key, for the same reason.
local pools = {}
-- Next endpoint of each pool; endpoints that failed, until when.
local turns, avoided = {}, {}

-- Another master serves from now on: each answer is the last on its connection. In HTTP/2 nginx itself says so when it ends.
local draining = false

rows.on_change(function()
  known, known_count, pools = {}, 0, {}
  draining = rows.get("draining") ~= nil
  for address, time in pairs(avoided) do
    if time < ngx.now() then avoided[address] = nil end
  end
end)

-- Header fields that are ours to write; `_` counts as `-`, as it does to CGI-like backends.
local ours = {
  ["forwarded"] = true, ["x-forwarded-for"] = true, ["x-forwarded-host"] = true, ["x-forwarded-port"] = true,
  ["x-forwarded-proto"] = true, ["x-real-ip"] = true, ["x-request-id"] = true,
  ["host"] = true, ["content-length"] = true, ["transfer-encoding"] = true, ["te"] = true,
}

local schemes = {
  "x-scheme", "x_scheme", "x-forwarded-scheme", "x-forwarded_scheme", "x_forwarded-scheme", "x_forwarded_scheme",
}

-- An answer of our own in the place of a backend's.
local function refuse(status)
  ngx.ctx.answer = { status = status }
  ngx.var.fl_kind = "answer"
  return ""
end

-- Takes away what a Connection field names, and finds a wish for another protocol. Returns false when it is no good.
local function connection_fields(connection)
  local upgrade = false
  for token in lower(connection):gmatch("[^,%s]+") do
    if token == "upgrade" then upgrade = true
    elseif token ~= "keep-alive" and token ~= "close" and not ours[(token:gsub("_", "-"))] then
      ngx.req.clear_header(token)
    end
  end
  if not upgrade then return true end
  local wanted = ngx.var.http_upgrade
  -- Offers of cleartext HTTP/2 are ignored.
  if not wanted or lower(wanted) == "h2c" then return true end
  local length = ngx.var.http_content_length
  if (length and length ~= "0") or ngx.var.http_transfer_encoding then return false end
  ngx.var.fl_upgrade = wanted
  return true
end

-- Where a body ends is not said before it: its size is looked at while it comes.
local function is_open_ended(request)
  return get(request, "http_transfer_encoding") ~= nil or get(request, "server_protocol") == "HTTP/2.0"
end

local function pool_of(key)
  local pool = pools[key]
  if not pool then
    pool = rows.get("pool/" .. key)
    pools[key] = pool
  end
  return pool
end

-- One of a route's backends, by weight; nil when none has one.
local function pick(route)
  local backends = route.backends
  if #backends == 1 then
    local only = backends[1]
    return only.weight > 0 and only or nil
  end
  local left = random() * route.weight
  for i = 1, #backends do
    local backend = backends[i]
    left = left - backend.weight
    if left < 0 and backend.weight > 0 then return backend end
  end
  return nil
end

-- The authority as it counts: that of an absolute target, else the Host field.
local function authority_of(var, host)
  local line = var.request
  local authority = line and line:match("^%S+ %a[%w+.-]*://([^/?# ]*)")
  return authority or host
end

-- Passes on to the pool of a route that needs nothing else; all others are full.lua's.
local function pass(request, found)
  local route = found.route
  if report.on then set(request, "fl_route", route.id) end
  local most, fits = route.body, true
  if most then
    local length = get(request, "http_content_length")
    if length then
      if not route.special and (tonumber(length) or 0) > most then return refuse(413) end
    elseif is_open_ended(request) then
      fits = false
    end
  end
  if not route.special and fits and not found.changed then
    local backend = pick(route)
    local key = backend and backend.pool
    if key then
      local pool = pool_of(key)
      if pool and pool.protocol == "http" and not pool.tls and #pool.endpoints > 0 then
        if route.hsts and found.scheme == "https" then set(request, "fl_hsts", route.hsts) end
        local limits = route.limits
        return limits and key .. limits or key
      end
    end
  end
  return full.prepare(found, pick, fits)
end

-- 32 hexadecimal digits: 24 of this worker, 8 that go through all numbers in an order that does not tell how many requests
-- there were. Ids are no secrets. Four random words for each request took half of the time that its Lua took.
local worker_id, first, last
local function next_id()
  if last == first then
    worker_id = tohex(random(0, WORD)) .. tohex(random(0, WORD)) .. tohex(random(0, WORD))
    first = first or random(0, WORD)
    last = first
  end
  -- A full period (Hull and Dobell), in what a double can hold.
  last = (last * 1664525 + 1013904223) % 0x100000000
  return worker_id .. tohex(last)
end

local function decision(request, id)
  local own = next_id()
  set(request, "fl_id", own)
  if trace.on then trace.begin(request, own) end
  local connection = get(request, "http_connection")
  if connection then
    -- HTTP/2 has no such field: a message with one is malformed (RFC 9113 section 8.2.2).
    if get(request, "server_protocol") == "HTTP/2.0" then return refuse(400) end
    if connection ~= "keep-alive" and connection ~= "close" and not connection_fields(connection) then return refuse(400) end
  end
  -- What ingress-nginx writes, and programs behind it believe. It may still be set by a filter.
  if get(request, "http_x_forwarded_scheme") or get(request, "http_x_scheme") then
    for _, field in ipairs(schemes) do ngx.req.clear_header(field) end
  end
  local host, target, name = get(request, "http_host") or "", get(request, "request_uri"), get(request, "host")
  -- They differ where the target is absolute, and where the host has a port.
  local at = name == host and target or target .. "\n" .. name
  local here = known[id]
  local near = here and here[host]
  local found = near and near[at]
  if found then return pass(request, found) end

  local var = ngx.var
  local protocol = var.server_protocol
  if protocol ~= "HTTP/1.1" and protocol ~= "HTTP/2.0" and protocol ~= "HTTP/1.0" then return refuse(400) end
  -- More than one Host field never gets here.
  local authority = authority_of(var, host)
  if authority ~= host then
    var.fl_host = authority
    var.fl_authority = authority
  end
  if authority == "" and protocol ~= "HTTP/1.0" then return refuse(400) end
  host = canonical.host(authority)
  if not host then return refuse(400) end
  if find(target, "#", 1, true) then return refuse(400) end
  local mark = find(target, "?", 1, true)
  local path = mark and sub(target, 1, mark - 1) or target
  if byte(path) ~= 47 then
    -- An absolute target without a path, or the asterisk of OPTIONS.
    if path ~= "" then return refuse(400) end
    path = "/"
  end
  local clean = canonical.path(path)
  if not clean then return refuse(400) end
  local listener = rows.get("listener/" .. id)
  if not listener then return refuse(404) end
  name = matching.server_name(listener, host)
  local alone = true
  if listener.scheme == "https" and listener.servers > 1 then
    -- The decision is for this connection only.
    alone = false
    local arrived = matching.server_name(listener, lower(var.ssl_server_name or ""))
    if name and arrived ~= name then return refuse(421) end
  end
  local route, pure, matched
  if name then route, pure, matched = matching.route(id, name, host, clean) end
  if not route then return refuse(404) end
  found = {
    route = route, host = host, path = matched, changed = matched ~= path, query = mark and sub(target, mark) or "",
    scheme = listener.scheme, port = listener.port, id = id,
  }
  if pure and alone and authority ~= "" and authority == var.http_host then
    if known_count >= MOST then known, known_count = {}, 0 end
    here = known[id] or {}
    known[id] = here
    near = here[authority] or {}
    here[authority] = near
    near[at] = found
    known_count = known_count + 1
  end
  return pass(request, found)
end

-- The pool to pass a request of this listener to; "" when there is more to be done (`ngx.ctx.answer`, `ngx.ctx.state`).
function _M.decide(id)
  rows.refresh()
  return decision(variable.request(), id)
end

-- Next endpoint in turn that has not failed of late.
local function choose(key, endpoints, tried)
  local count = #endpoints
  local turn = turns[key] or random(count)
  local now = next(avoided) and ngx.now()
  local fallback
  for step = 1, count do
    local index = (turn + step - 1) % count + 1
    local endpoint = endpoints[index]
    local name = now and endpoint[1] .. ":" .. endpoint[2]
    local used = tried and tried[endpoint[1] .. ":" .. endpoint[2]]
    if not used and not (now and (avoided[name] or 0) > now) then
      turns[key] = index
      return endpoint
    end
    if not used and not fallback then fallback = endpoint end
  end
  turns[key] = turn % count + 1
  return fallback or endpoints[turn % count + 1]
end

local function by_hash(a, b) return a[1] > b[1] end

-- The endpoint with an id; else that with the highest hash of its address and a key, so that all workers choose alike, or one of `subset`.
local function wanted(endpoints, tried, id, key, subset)
  local best, most
  local hashed = subset and subset > 1 and {}
  for i = 1, #endpoints do
    local endpoint = endpoints[i]
    if not (tried and tried[endpoint[1] .. ":" .. endpoint[2]]) then
      if endpoint[3] == id then return endpoint end
      if key then
        local hash = ngx.md5((gsub(endpoint[1], "[%[%]]", "")) .. " " .. endpoint[2] .. " " .. key)
        if hashed then hashed[#hashed + 1] = { hash, endpoint } end
        if not most or hash >= most then best, most = endpoint, hash end
      end
    end
  end
  if hashed and #hashed > 1 then
    table.sort(hashed, by_hash)
    return hashed[random(math.min(subset, #hashed))][2]
  end
  return best
end

-- Chooses the endpoint of an attempt among those of a pool. `state` may ask for one of them, and is told which one it is.
function _M.balance(key, state)
  local pool = pool_of(key)
  local endpoints = pool and pool.endpoints
  local count = endpoints and #endpoints or 0
  if count == 0 then return ngx.exit(503) end
  local tried
  local failure = balancer.get_last_failure()
  if failure then
    tried = {}
    for address in (ngx.var.upstream_addr or ""):gmatch("[^, ]+") do
      tried[address] = true
      -- Whoever has answered 403 or 404 is there.
      if failure ~= "next" then avoided[address] = ngx.now() + 1 end
    end
  elseif state and state.tries then
    if state.tries > 1 then balancer.set_more_tries(state.tries - 1) end
  elseif count > 1 then
    balancer.set_more_tries(count > 2 and 2 or 1)
  end
  local endpoint = state and (state.sticky or state.hash) and wanted(endpoints, tried, state.sticky, state.hash, state.subset)
    or count == 1 and endpoints[1] or choose(key, endpoints, tried)
  if state then state.endpoint = endpoint[3] end
  local ok, err = balancer.set_current_peer(endpoint[1], endpoint[2])
  if not ok then
    ngx.log(ngx.ERR, "no peer: ", err)
    return ngx.exit(502)
  end
end

-- The pool that was decided on: chooses the endpoint of an attempt among its own.
function _M.attempt()
  local key = get(variable.request(), "fl_pool") or ""
  local cut = find(key, "\n", 1, true)
  if cut then
    local connect, read = sub(key, cut + 1):match("^(%d+) (%d+)$")
    balancer.set_timeouts(connect / 1000, read / 1000, read / 1000)
    key = sub(key, 1, cut - 1)
  end
  return _M.balance(key, nil)
end

local function is_plain(request)
  local connection = get(request, "upstream_http_connection")
  return not connection or connection == "keep-alive" or connection == "close"
end

-- Fields of an answer that its Connection field names.
function _M.answer_fields(secure)
  local request = variable.request()
  if draining and get(request, "server_protocol") ~= "HTTP/2.0" and not get(request, "upstream_http_upgrade") then
    ngx.header["connection"] = "close"
  end
  if secure then
    local hsts = get(request, "fl_hsts")
    if hsts and hsts ~= "" then ngx.header["strict-transport-security"] = hsts end
  end
  if is_plain(request) then return end
  local connection = ngx.var.upstream_http_connection
  for token in lower(connection):gmatch("[^,%s]+") do
    if token ~= "keep-alive" and token ~= "close" and token ~= "upgrade" and token ~= "connection"
      and token ~= "content-length" and token ~= "transfer-encoding" then
      ngx.header[token] = nil
    end
  end
end

return _M
