-- Asks another server whether a request may pass (ingress-nginx's auth-url), in the access phase. Nobody is let in without its word.
local rows = require "fairlead.rows"
local template = require "fairlead.template"
local canonical = require "fairlead.canonical"
local matching = require "fairlead.match"
local answer = require "fairlead.answer"
local find, sub = string.find, string.sub

local _M = {}

local METHODS = {
  GET = ngx.HTTP_GET, HEAD = ngx.HTTP_HEAD, POST = ngx.HTTP_POST, PUT = ngx.HTTP_PUT, DELETE = ngx.HTTP_DELETE,
  OPTIONS = ngx.HTTP_OPTIONS, PATCH = ngx.HTTP_PATCH,
}

-- The pool that a request for a host and a path would be led to, whatever guards it.
local function pool_for(id, authority, target)
  local host = canonical.host(authority)
  local mark = find(target, "?", 1, true)
  local path = canonical.path(mark and sub(target, 1, mark - 1) or target)
  local listener = rows.get("listener/" .. id)
  local name = host and path and listener and matching.server_name(listener, host)
  if not name then return nil end
  local route, pure = matching.route(id, name, host, path)
  -- What the request's own fields have a say in is not asked.
  if not route or not pure then return nil end
  local backend = route.backends[1]
  return backend and backend.pool
end

local function joined(value)
  return type(value) == "table" and table.concat(value, ", ") or value
end

local function say(own)
  ngx.ctx.answer = own
  return answer.begin()
end

local FAILED = { status = 500 }

-- Fields of an answer by their names in lower case: here they are as the server wrote them.
local function by_name(reply)
  local out = {}
  for name, value in pairs(reply.header) do out[name:lower()] = value end
  return out
end

-- The answer of a server that does not let a request in.
local function refusal(auth, found, reply, original)
  local header = by_name(reply)
  local fields = {}
  local cookies = header["set-cookie"]
  if cookies then fields[1] = { "set-cookie", cookies } end
  if reply.status == 401 and auth.signin then
    local target = template.render(auth.signin, found)
    local named = auth.signinParameter .. "="
    if not find(target, "?" .. named, 1, true) and not find(target, "&" .. named, 1, true) then
      target = target .. (find(target, "?", 1, true) and "&" or "?") .. auth.signinParameter .. "=" .. template.component(original)
    end
    fields[#fields + 1] = { "location", target }
    return { status = 302, text = "Look there.\n", fields = fields }
  end
  if reply.status == 401 then
    if header["www-authenticate"] then fields[#fields + 1] = { "www-authenticate", joined(header["www-authenticate"]) } end
    return { status = 401, text = "Authorization is needed.\n", fields = fields }
  end
  if reply.status == 403 then return { status = 403, text = "This is not allowed.\n", fields = fields } end
  return FAILED
end

-- What was said before, for all workers: status, then names and values of fields, with zero bytes between them.
local answers = ngx.shared.fairlead_answers
local MOST = 4096

local function said_before(id)
  local text = id and answers:get(id)
  if not text then return nil end
  local parts = {}
  for part in text:gmatch("([^%z]*)%z") do parts[#parts + 1] = part end
  local header = {}
  for i = 2, #parts - 1, 2 do header[parts[i]] = parts[i + 1] end
  return { status = tonumber(parts[1]), header = header }
end

-- Remembers an answer, if it may be.
local function remember(id, auth, reply)
  local header = by_name(reply)
  if reply.truncated or header["set-cookie"] or header["vary"] then return end
  local control = (joined(header["cache-control"]) or ""):lower()
  for _, word in ipairs { "no-cache", "no-store", "private", "max-age=0" } do
    if find(control, word, 1, true) then return end
  end
  local times = auth.remembered.seconds
  local seconds = times["s" .. reply.status] or times.sany or 0
  local parts = { tostring(reply.status) }
  local function keep(name)
    local value = joined(header[name])
    if value then
      parts[#parts + 1] = name
      parts[#parts + 1] = value
    end
  end
  keep("www-authenticate")
  for _, name in ipairs(auth.responseHeaders) do keep(name) end
  local text = table.concat(parts, "\0") .. "\0"
  if seconds > 0 and #text <= MOST then answers:set(id, text, seconds) end
end

-- Asks the server for the request.
local function ask(auth, found, key, pool, path, host, original)
  local var = ngx.var
  -- The question has the fields of the request: those of its own are there for its time only.
  local own, before = auth.headers or {}, {}
  local current = #own > 0 and ngx.req.get_headers(0)
  for _, field in ipairs(own) do
    before[field.name] = current[field.name:lower()] or false
    ngx.req.set_header(field.name, template.render(field.value, found))
  end
  local reply = ngx.location.capture("/\1ask", {
    method = METHODS[auth.method or "GET"] or ngx.HTTP_GET,
    vars = {
      fl_pool = key, fl_target = path, fl_authority = host, fl_host = var.fl_host, fl_port = var.fl_port, fl_id = var.fl_id,
      fl_original = original, fl_method = ngx.req.get_method(), fl_tls = pool.tls and "1" or "", fl_sni = pool.name or "",
      fl_redirect = auth.redirect and template.render(auth.redirect, found) or found.path .. found.query,
    },
  })
  for name, value in pairs(before) do
    if value then ngx.req.set_header(name, value) else ngx.req.clear_header(name) end
  end
  return reply
end

-- To be called for requests with a state.
function _M.check()
  local state = ngx.ctx.state
  local auth = state and state.authorize
  if not auth then return end
  state.authorize = nil
  local found = state.found
  local path = template.render(auth.path, found)
  if sub(path, 1, 1) ~= "/" then path = "/" .. path end
  local host = auth.host ~= "" and auth.host or found.host
  local key = auth.pool or pool_for(found.id, host, path)
  local pool = key and rows.get("pool/" .. key)
  if not pool or pool.protocol ~= "http" or #pool.endpoints == 0 or find(path, "[%z\1-\32\127]") then return say(FAILED) end
  -- Here nobody's certificate is looked at.
  if pool.tls and (pool.tls ~= "unverified" or pool.certificate) then return say(FAILED) end
  local var = ngx.var
  local original = template.scheme(found) .. "://" .. var.fl_host .. found.path .. found.query
  local about = auth.remembered
  local id = about and ngx.sha1_bin(about.scope .. "\0" .. template.render(about.key, found))
  local reply = said_before(id)
  if not reply then
    reply = ask(auth, found, key, pool, path, host, original)
    -- What nginx says in its place is no answer of the server.
    if id and reply.status < 500 then remember(id, auth, reply) end
  end
  if reply.truncated or reply.status < 200 or reply.status >= 300 then return say(refusal(auth, found, reply, original)) end
  -- What it did not say, the client must not say in its place.
  local header = by_name(reply)
  for _, name in ipairs(auth.responseHeaders) do
    local value = joined(header[name])
    if value then ngx.req.set_header(name, value) else ngx.req.clear_header(name) end
  end
  state.cookies, state.always = header["set-cookie"], auth.alwaysCookies
end

return _M
