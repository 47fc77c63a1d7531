-- Requests with which more is done than to pass them on: filters, timeouts, other paths, answers of our own.
local rows = require "fairlead.rows"
local filters = require "fairlead.filters"
local policies = require "fairlead.policies"
local report = require "fairlead.report"
local template = require "fairlead.template"
local balancer = require "ngx.balancer"

local _M = {}

-- Methods of which nginx knows whether they may be repeated, or that may. Of any other it takes that for granted.
local REPEATABLE = { GET = true, HEAD = true, OPTIONS = true, PUT = true, DELETE = true, POST = true, PATCH = true, LOCK = true }

local function answer(of)
  ngx.ctx.answer = of
  ngx.var.fl_kind = "answer"
  return ""
end

-- An answer of our own in the place of the backend's: what was taken is given back.
local function instead(state, own)
  policies.release(state)
  if #state.fields > 0 then
    local fields = {}
    for _, field in ipairs(own.fields or {}) do fields[#fields + 1] = field end
    for _, field in ipairs(state.fields) do fields[#fields + 1] = field end
    own = { status = own.status, text = own.text, fields = fields }
  end
  return answer(own)
end

-- No endpoint: the page of the backend that has those of 503, or our own.
local function nobody(state, key)
  if report.on and key then ngx.var.fl_meant = key end
  local errors = state.errors
  if errors and errors.codes["503"] then
    ngx.var.fl_kind = "error/503"
    policies.hold(state)
    return ""
  end
  return instead(state, { status = 503 })
end

local function usable(key)
  local pool = key and rows.get("pool/" .. key)
  return pool and #pool.endpoints > 0 and pool or nil
end

-- Which endpoint a client stays with: that of its cookie, or that of the text in it.
local function stay(state, affinity, to_canary)
  state.affinity, state.suffix = affinity, to_canary and "-c" or ""
  state.told = template.cookie(affinity.cookie)
  local token = policies.stay_of(state.told)
  if not affinity.balanced then state.sticky = token
  else
    state.token = token or ngx.var.request_id
    state.hash = state.token
  end
end

-- Applies what a route asks for. Returns the key of the pool to pass the request to, or "" with an answer of our own. `fits`: its body
-- is no larger than it may be, as far as can be known now.
function _M.prepare(found, pick, fits)
  local route = found.route
  local state = { path = found.path, found = found, response = {}, fields = {}, mirrors = {}, places = {} }
  for _, filter in ipairs(route.filters) do
    local own = filters.apply(filter, state)
    if own then return instead(state, own) end
  end
  local shut = policies.verdict(state)
  if shut then return instead(state, shut) end
  local key
  local to_canary = route.canary and math.random() < policies.canary_share(route.canary)
  if to_canary then
    key = route.canary.pool
  else
    local backend = pick(route)
    key = backend and backend.pool
    if not key then return instead(state, { status = 500 }) end
    for _, filter in ipairs(backend.filters) do
      local own = filters.apply(filter, state)
      if own then return instead(state, own) end
    end
  end
  local var, ctx = ngx.var, ngx.ctx
  ctx.state = state
  local errors = state.errors
  if errors then var.fl_page = errors.pool .. "\n" .. errors.about end
  local pool = usable(key)
  if not pool and route.fallbackPool then
    key = route.fallbackPool
    pool = usable(key)
    if route.fallbackFields then filters.apply(route.fallbackFields, state) end
  elseif route.affinity and not (to_canary and not route.canary.sticky) then
    stay(state, route.affinity, to_canary)
  end
  if not pool then return nobody(state, key) end
  if pool.tls == "refused" then return instead(state, { status = 503 }) end
  if route.hashBy and not state.hash then
    state.hash, state.subset = template.render(route.hashBy, found), route.hashSubset
  end
  local limit, whole = route.backendTimeout, route.requestTimeout
  if limit == 0 then limit = nil end
  if whole == 0 then whole = nil end
  state.attempt, state.whole = limit, whole
  state.begun = whole and ngx.now()
  state.connect, state.read = route.connect, route.read
  if state.hostname then var.fl_authority = state.hostname end
  if route.hsts and found.scheme == "https" then var.fl_hsts = route.hsts end
  policies.hold(state)
  -- When it is tried again is said by the location, and so is whom its certificate is checked by, and the limit of a body.
  local where = ""
  local retry = route.retry
  if retry and rows.get("retry/" .. retry.name) then
    state.tries = (retry.any or REPEATABLE[ngx.req.get_method()]) and retry.tries or 1
    local length = tonumber(var.http_content_length)
    local held = pool.protocol ~= "h2c" and length and length > 0 and length <= retry.held
    where = (held and "/k" or "/t") .. retry.name
  end
  if pool.tls then
    var.fl_tls = "1"
    var.fl_sni = pool.name
    if pool.certificate then
      var.fl_certificate = pool.certificate
      var.fl_key = pool.key
    end
    if pool.authorities then where = where .. "/c" .. pool.authorities end
  end
  local changed = found.changed or state.path ~= found.path
  local rate = pool.protocol ~= "h2c" and state.rate
  if rate then
    var.fl_rate, var.fl_after = rate.bytes, rate.after
    where = where .. "/r"
  end
  if not fits then where = where .. "/" .. route.bodySlot end
  if pool.protocol == "h2c" then
    if changed or where ~= "" or state.authorize or pool.tls or #state.places > 0 then
      var.fl_kind = "h2c" .. where
      state.uri = state.path
    else
      var.fl_h2c = "1"
    end
    return key
  end
  var.fl_target = state.path .. found.query
  var.fl_mirrors = table.concat(state.mirrors, "\n")
  if #state.mirrors > 0 then
    var.fl_kind = "mirrored" .. where
  else
    var.fl_kind = (errors and "full/" .. errors.set or "full") .. where
  end
  return key
end

-- Pool of a mirror, its own Host, and whether it is bare, from the variable that a request shares with its subrequests.
local function mirror_of(slot)
  local n = 0
  for line in ngx.var.fl_mirrors:gmatch("[^\n]+") do
    if n == slot then return line:match("^([^\t]*)\t([^\t]*)\t(.*)$") end
    n = n + 1
  end
end

local function slot_of_copy()
  return tonumber(string.match(ngx.var.uri, "%d+$"))
end

-- The path of a request to an endpoint that speaks HTTP/2 in clear.
function _M.uri()
  local state = ngx.ctx.state
  ngx.req.set_uri(ngx.unescape_uri(state.uri), false)
end

-- Milliseconds that an attempt may take.
local function timeouts(state)
  local limit = state.attempt
  if state.whole then
    local left = math.max(state.whole - (ngx.now() - state.begun) * 1000, 1)
    if not limit or left < limit then limit = left end
  end
  local connect, read = state.connect, state.read
  if not (limit or connect or read) then return end
  if limit then
    connect = math.min(limit, connect or 2000)
    read = math.min(limit, read or limit)
  end
  balancer.set_timeouts(connect and connect / 1000, read and read / 1000, read and read / 1000)
end

-- Chooses the endpoint of an attempt.
function _M.attempt()
  local state = ngx.ctx.state
  if state then timeouts(state) end
  require("fairlead.request").balance(ngx.var.fl_pool, state)
end

-- Ends the subrequest of a mirror that this request does not have. The state is its parent's.
function _M.mirrored(slot)
  local pool, host, bare = mirror_of(slot)
  if not pool then return ngx.exit(204) end
  -- The request's own was written down before; what is put here is read at once, and put back when the copy has its endpoint.
  if host ~= "" then
    ngx.var.fl_original = ngx.var.fl_authority
    ngx.var.fl_authority = host
  end
  if bare ~= "" then return ngx.req.set_uri("/\1bare/" .. slot, true, true) end
end

-- The endpoint of something that is never sent over TLS, and so not where TLS is asked for.
local function in_clear(key)
  local pool = rows.get("pool/" .. key)
  if not pool or pool.tls or pool.protocol ~= "http" then return ngx.exit(503) end
  return require("fairlead.request").balance(key)
end

-- The endpoint of a copy.
function _M.mirror()
  local pool, host = mirror_of(slot_of_copy())
  if host and host ~= "" then ngx.var.fl_authority = ngx.var.fl_original end
  return in_clear(pool or "")
end

-- Makes a request for the page of an error, of what was a client's request. Its pool and what it is told are in a variable: what else
-- was known of the request is gone with the redirect to here.
function _M.page(code)
  local lines = ngx.var.fl_page:gmatch("[^\n]+")
  lines()
  ngx.req.set_method(ngx.HTTP_GET)
  for line in lines do
    local name, value = line:match("^([%w-]+): (.*)$")
    if name then ngx.req.set_header(name, value) end
  end
  ngx.req.set_header("x-code", code)
  ngx.req.set_header("x-format", template.header("accept") or "")
  ngx.req.set_header("x-original-uri", ngx.var.request_uri)
  ngx.req.clear_header("content-type")
  ngx.req.clear_header("content-encoding")
end

-- The endpoint that has it.
function _M.page_endpoint()
  return in_clear(ngx.var.fl_page:match("^[^\n]*"))
end

-- Whoever forgets the code must not let anyone in.
function _M.page_status(code)
  if code == 401 or code == 403 then ngx.status = code end
end

local function list_of(value)
  return type(value) == "table" and value or { value }
end

-- Answers that have the cookies of who let their requests in.
local WITH_COOKIES = {}
for _, status in ipairs { 200, 201, 204, 206, 301, 302, 303, 304, 307, 308 } do WITH_COOKIES[status] = true end

-- Header fields of an answer that comes from an endpoint.
function _M.answer_fields()
  local state = ngx.ctx.state
  if not state then return end
  if state.rewrites then filters.rewrite(state) end
  local affinity = state.affinity
  local said = affinity and state.endpoint and (state.token or state.endpoint) .. state.suffix
  local sticks = said and said ~= state.told
  local given = state.cookies and (state.always or WITH_COOKIES[ngx.status])
  if sticks or given then
    local cookies = {}
    for _, cookie in ipairs(list_of(ngx.header["set-cookie"])) do cookies[#cookies + 1] = cookie end
    for _, cookie in ipairs(given and list_of(state.cookies) or {}) do cookies[#cookies + 1] = cookie end
    if sticks then cookies[#cookies + 1] = policies.affinity_field(affinity, said, state.found) end
    ngx.header["set-cookie"] = cookies
  end
  filters.respond(state)
end

return _M
