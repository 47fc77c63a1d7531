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
    if not find(target, auth.signinParameter .. "=", 1, true) then
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
