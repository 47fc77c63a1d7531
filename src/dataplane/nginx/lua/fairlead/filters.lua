-- What filters of routes do to requests and answers; as the routing room's filters.ts and the embedded data plane.
local lower, find, sub, byte, gsub = string.lower, string.find, string.sub, string.byte, string.gsub
local random = math.random
local policies = require "fairlead.policies"
local template = require "fairlead.template"

local _M = {}

-- They say how long a message is and what becomes of the connection: no route may.
local untouchable = {
  ["connection"] = true, ["content-length"] = true, ["keep-alive"] = true, ["proxy-connection"] = true,
  ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true,
}

local function joined(value)
  return type(value) == "table" and table.concat(value, ",") or value
end

-- Remove, then set, then add.
local function change_request(changes, state)
  local function set_host(value)
    state.hostname = value
  end
  for _, name in ipairs(changes.remove) do
    local key = lower(name)
    if not untouchable[key] and key ~= "host" then ngx.req.clear_header(name) end
  end
  for _, field in ipairs(changes.set) do
    local key = lower(field[1])
    if key == "host" then set_host(field[2])
    elseif not untouchable[key] then ngx.req.set_header(field[1], field[2]) end
  end
  for _, field in ipairs(changes.add) do
    local key = lower(field[1])
    if not untouchable[key] and key ~= "host" then
      local before = joined(ngx.req.get_headers(0)[key])
      ngx.req.set_header(field[1], before and before .. "," .. field[2] or field[2])
    end
  end
end

local function change_answer(changes)
  local header = ngx.header
  for _, name in ipairs(changes.remove) do
    if not untouchable[lower(name)] then header[name] = nil end
  end
  for _, field in ipairs(changes.set) do
    if not untouchable[lower(field[1])] then header[field[1]] = field[2] end
  end
  for _, field in ipairs(changes.add) do
    if not untouchable[lower(field[1])] then
      local before = joined(header[field[1]])
      header[field[1]] = before and before .. "," .. field[2] or field[2]
    end
  end
end

-- The path after a change; `match` is what the route matched it by.
local function changed_path(path, change, match)
  if not change then return path end
  if change.type == "ReplaceFullPath" then return change.value ~= "" and change.value or "/" end
  local matched = match and match.type == "Prefix" and match.value or ""
  local rest = sub(path, #matched + 1)
  local prefix = gsub(change.value, "/+$", "")
  if rest ~= "" and byte(rest) ~= 47 then rest = "/" .. rest end
  local changed = prefix .. rest
  return changed ~= "" and changed or "/"
end

local well_known = { http = 80, https = 443 }

local function redirect(filter, state)
  local found = state.found
  local scheme = filter.scheme or found.scheme
  local host = filter.hostname or found.host
  local port = filter.port or (filter.scheme and well_known[filter.scheme]) or found.port
  local path = changed_path(found.path, filter.path, found.route.path)
  local suffix = port == well_known[scheme] and "" or ":" .. port
  local fields = { { "location", scheme .. "://" .. host .. suffix .. path .. found.query } }
  for _, field in ipairs(state.fields) do fields[#fields + 1] = field end
  return { status = filter.status, text = "Look there.\n", fields = fields }
end

local function allows(cors, origin)
  local low = lower(origin)
  for _, allowed in ipairs(cors.allowOrigins) do
    if allowed == "*" or allowed == origin then return true end
    allowed = lower(allowed)
    local star = find(allowed, "*", 1, true)
    if not star then
      if allowed == low then return true end
    else
      local before, after = sub(allowed, 1, star - 1), sub(allowed, star + 1)
      local length = #before + #after
      if #low > length and sub(low, 1, #before) == before and (after == "" or sub(low, -#after) == after) then
        local middle = sub(low, #before + 1, #low - #after)
        if cors.everywhere then
          if find(middle, "^[a-z0-9-]+$") then return true end
        elseif find(middle, "^[a-z0-9.-]+$") or (after == "" and find(middle, "^[a-z0-9.-]+:%d+$")) then
          return true
        end
      end
    end
  end
  return false
end

local function has_all(values)
  for _, value in ipairs(values) do
    if value == "*" then return true end
  end
  return false
end

-- Fields for a cross-origin answer. `preflight` has what was asked for.
local function cors_fields(cors, origin, preflight)
  local fields = {}
  if not allows(cors, origin) then return fields end
  local function say(name, value)
    if value ~= "" then fields[#fields + 1] = { name, value } end
  end
  local all = has_all(cors.allowOrigins) and not cors.allowCredentials
  say("access-control-allow-origin", all and "*" or origin)
  if not all then say("vary", "Origin") end
  if cors.allowCredentials then say("access-control-allow-credentials", "true") end
  local function list(values, asked)
    if not has_all(values) then return table.concat(values, ", ") end
    if cors.allowCredentials or not preflight then return asked end
    return "*"
  end
  if preflight then
    say("access-control-allow-methods", list(cors.allowMethods, preflight.method))
    say("access-control-allow-headers", list(cors.allowHeaders, preflight.headers))
    say("access-control-max-age", tostring(cors.maxAge))
  end
  if has_all(cors.exposeHeaders) then
    if not cors.allowCredentials then say("access-control-expose-headers", "*") end
  else
    say("access-control-expose-headers", table.concat(cors.exposeHeaders, ", "))
  end
  return fields
end

-- Fields for every answer; none when there is no origin that is allowed.
local function cors_fields_everywhere(cors, origin)
  local all = has_all(cors.allowOrigins)
  if not all and not (origin and allows(cors, origin)) then return {} end
  local fields = { { "access-control-allow-origin", all and "*" or origin } }
  local function say(name, value) fields[#fields + 1] = { name, value } end
  if not all then say("vary", "Origin") end
  if cors.allowCredentials then say("access-control-allow-credentials", "true") end
  say("access-control-allow-methods", table.concat(cors.allowMethods, ", "))
  say("access-control-allow-headers", table.concat(cors.allowHeaders, ", "))
  say("access-control-max-age", tostring(cors.maxAge))
  if #cors.exposeHeaders > 0 then say("access-control-expose-headers", table.concat(cors.exposeHeaders, ", ")) end
  return fields
end

local function cross_origin(filter, state)
  local var = ngx.var
  local origin = var.http_origin
  if filter.cors.everywhere then
    local fields = cors_fields_everywhere(filter.cors, origin)
    if var.request_method == "OPTIONS" and #fields > 0 then return { status = 204, fields = fields } end
    for _, field in ipairs(fields) do state.fields[#state.fields + 1] = field end
    return nil
  end
  if not origin then return nil end
  local method = var.http_access_control_request_method
  if var.request_method == "OPTIONS" and method then
    local asked = { method = method, headers = var.http_access_control_request_headers or "" }
    return { status = 204, fields = cors_fields(filter.cors, origin, asked) }
  end
  for _, field in ipairs(cors_fields(filter.cors, origin)) do state.fields[#state.fields + 1] = field end
  return nil
end

-- Fields with the parts of a request in them; those that are empty for it are removed.
local function template_headers(filter, state)
  local changes = { remove = {}, set = {}, add = {} }
  for _, field in ipairs(filter.fields) do
    local value = template.render(field.value, state.found)
    local into = filter.how == "set" and changes.set or changes.add
    if value ~= "" then into[#into + 1] = { field.name, value }
    elseif filter.how == "set" then changes.remove[#changes.remove + 1] = field.name end
  end
  if filter.of == "request" then change_request(changes, state)
  else state.response[#state.response + 1] = changes end
end

-- Applies a filter to the request. Returns an answer when there is one in the place of the backend's.
function _M.apply(filter, state)
  local kind = filter.type
  if kind == "RequestHeaders" then
    change_request(filter.changes, state)
  elseif kind == "ResponseHeaders" then
    state.response[#state.response + 1] = filter.changes
  elseif kind == "AnswerRewrite" then
    local list = state.rewrites or {}
    list[#list + 1] = {
      what = filter.what, from = template.render(filter.from, state.found), to = template.render(filter.to, state.found),
    }
    state.rewrites = list
  elseif kind == "TemplateHeaders" then
    template_headers(filter, state)
  elseif kind == "Redirect" then
    return redirect(filter, state)
  elseif kind == "Rewrite" then
    state.path = changed_path(state.path, filter.path, state.found.route.path)
    if filter.hostname then state.hostname = filter.hostname end
  elseif kind == "Mirror" then
    if filter.denominator > 0 and random() * filter.denominator < filter.numerator then
      state.mirrors[#state.mirrors + 1] = filter.pool .. "\t" .. (filter.host or "") .. (filter.withoutBody and "\tbare" or "\t")
    end
  elseif kind == "Cors" then
    return cross_origin(filter, state)
  else
    local known, own = policies.apply(filter, state)
    if not known then return { status = 500 } end
    return own
  end
  return nil
end

local function bare(domain)
  return (gsub(lower(domain), "^%.", ""))
end

-- What stands in the place of something else in an endpoint's answer.
local function rewrite(each)
  local header, from, to = ngx.header, each.from, each.to
  local function begins(text)
    return sub(text, 1, #from) == from and to .. sub(text, #from + 1) or text
  end
  if each.what == "location" then
    if type(header["location"]) == "string" then header["location"] = begins(header["location"]) end
    local refresh = header["refresh"]
    if type(refresh) == "string" then
      header["refresh"] = gsub(refresh, "([uU][rR][lL]=)(.*)$", function(before, url) return before .. begins(url) end)
    end
    return
  end
  local cookies, attribute = header["set-cookie"], sub(each.what, #"cookie-" + 1)
  if not cookies then return end
  local out = {}
  for i, cookie in ipairs(type(cookies) == "table" and cookies or { cookies }) do
    out[i] = gsub(cookie, "(;%s*)([^=;]+)=([^;]*)", function(before, key, text)
      if lower(gsub(key, "%s", "")) ~= attribute then return nil end
      local now = attribute == "path" and begins(text) or bare(text) == bare(from) and to or text
      return before .. key .. "=" .. now
    end)
  end
  header["set-cookie"] = out
end

-- What endpoints say, before anything is added to it.
function _M.rewrite(state)
  for _, each in ipairs(state.rewrites or {}) do rewrite(each) end
end

-- Applies what filters say of answers.
function _M.respond(state)
  for _, changes in ipairs(state.response) do change_answer(changes) end
  for _, field in ipairs(state.fields) do ngx.header[field[1]] = field[2] end
end

return _M
