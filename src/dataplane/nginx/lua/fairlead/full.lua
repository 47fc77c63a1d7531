-- Requests with which more is done than to pass them on: filters, timeouts, other paths, answers of our own.
local rows = require "fairlead.rows"
local filters = require "fairlead.filters"
local balancer = require "ngx.balancer"

local _M = {}

local function answer(of)
  ngx.ctx.answer = of
  ngx.var.fl_kind = "answer"
  return ""
end

-- Applies what a route asks for. Returns the key of the pool to pass the request to, or "" with an answer of our own.
function _M.prepare(found, pick)
  local route = found.route
  local state = { path = found.path, found = found, response = {}, fields = {}, mirrors = {} }
  for _, filter in ipairs(route.filters) do
    local own = filters.apply(filter, state)
    if own then return answer(own) end
  end
  local backend = pick(route)
  local key = backend and backend.pool
  if not key then return answer({ status = 500, fields = state.fields }) end
  for _, filter in ipairs(backend.filters) do
    local own = filters.apply(filter, state)
    if own then return answer(own) end
  end
  local pool = rows.get("pool/" .. key)
  if not pool or pool.tls or #pool.endpoints == 0 then return answer({ status = 503, fields = state.fields }) end
  local var, ctx = ngx.var, ngx.ctx
  ctx.state = state
  local limit, whole = route.backendTimeout, route.requestTimeout
  if limit == 0 then limit = nil end
  if whole == 0 then whole = nil end
  state.attempt, state.whole = limit, whole
  state.begun = whole and ngx.now()
  if state.hostname then var.fl_authority = state.hostname end
  local changed = found.changed or state.path ~= found.path
  if pool.protocol == "h2c" then
    if changed then
      var.fl_kind = "h2c"
      state.uri = state.path
    else
      var.fl_h2c = "1"
    end
    return key
  end
  var.fl_target = state.path .. found.query
  var.fl_mirrors = table.concat(state.mirrors, "\n")
  var.fl_kind = #state.mirrors > 0 and "mirrored" or "full"
  return key
end

-- Pool of a mirror, from the variable that a request shares with its subrequests.
local function mirrors_of(slot)
  local n = 0
  for key in ngx.var.fl_mirrors:gmatch("[^\n]+") do
    if n == slot then return key end
    n = n + 1
  end
end

-- The path of a request to an endpoint that speaks HTTP/2 in clear.
function _M.uri()
  local state = ngx.ctx.state
  ngx.req.set_uri(ngx.unescape_uri(state.uri), false)
end

-- Milliseconds that an attempt may take, before the endpoint is chosen.
function _M.timeouts()
  local state = ngx.ctx.state
  if not state or not (state.attempt or state.whole) then return end
  local limit = state.attempt
  if state.whole then
    local left = math.max(state.whole - (ngx.now() - state.begun) * 1000, 1)
    if not limit or left < limit then limit = left end
  end
  balancer.set_timeouts(math.min(limit / 1000, 2), limit / 1000, limit / 1000)
end

-- Ends the subrequest of a mirror that this request does not have. The state is its parent's.
function _M.mirrored(slot)
  if not (mirrors_of(slot)) then return ngx.exit(204) end
end

-- The endpoint of a copy.
function _M.mirror()
  require("fairlead.request").balance(mirrors_of(tonumber(string.match(ngx.var.uri, "%d+$"))) or "")
end

-- Header fields of an answer that comes from an endpoint.
function _M.answer_fields()
  local state = ngx.ctx.state
  if state then filters.respond(state) end
end

return _M
