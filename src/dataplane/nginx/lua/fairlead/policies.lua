-- What guards and changes requests beyond the Gateway API's filters: the meaning of ingress-nginx's annotations, as the embedded data
-- plane has it. What is counted is in shared memory, so that it counts for all workers.
local rows = require "fairlead.rows"
local template = require "fairlead.template"
local passwords = require "fairlead.passwords"
local digest = require "fairlead.digest"
local trace = require "fairlead.trace"
local guards = ngx.shared.fairlead_guards
local byte, sub, gsub, find = string.byte, string.sub, string.gsub, string.find

local _M = {}

local FORBIDDEN = { status = 403 }

local function redirect(status, location)
  return { status = status, text = "Look there.\n", fields = { { "location", location } } }
end

-- Bits of each byte, as text.
local bits = {}
for value = 0, 255 do
  local out, rest = {}, value
  for i = 8, 1, -1 do
    out[i] = rest % 2
    rest = (rest - out[i]) / 2
  end
  bits[value] = table.concat(out)
end

local MAPPED = ("\0"):rep(10) .. "\255\255"

-- Whether the client's address is in ranges; their rows are made by range-bits.ts.
local function within(ranges)
  if not ranges then return false end
  local address = ngx.var.binary_remote_addr
  if #address == 16 and sub(address, 1, 12) == MAPPED then address = sub(address, 13) end
  local family, lengths = "6", ranges.lengths6
  if #address == 4 then family, lengths = "4", ranges.lengths4 end
  if #lengths == 0 then return false end
  local text = {}
  for i = 1, #address do text[i] = bits[byte(address, i)] end
  text = table.concat(text)
  for i = 1, #lengths do
    if ranges.prefixes[family .. sub(text, 1, lengths[i])] then return true end
  end
  return false
end

-- A leaky bucket, as limit_req with nodelay: when all that was let in will have leaked out, in milliseconds. Adding is one step for all
-- workers, so two of them never let the same place be taken twice.
local function has_room(limit)
  if within(limit.exempt) then return true end
  local key = "r" .. limit.id .. "\n" .. ngx.var.remote_addr
  local now = ngx.now() * 1000
  local each = limit.seconds * 1000 / limit.requests
  local _, first = guards:add(key, now)
  if not first then return true end
  if first ~= "exists" then return false end
  local full = guards:incr(key, each)
  if not full then return true end
  if full < now + each then
    full = now + each
    guards:set(key, full)
  end
  if (full - now) / each > limit.burst + 0.0001 then
    guards:incr(key, -each)
    return false
  end
  guards:expire(key, limit.seconds * (limit.burst + 1) + 60)
  return true
end

-- Seconds after which the places of a worker that was killed are free again.
local FORGOTTEN = 3600

local function take_place(limit, state)
  if within(limit.exempt) then return true end
  local key = "c" .. limit.id .. "\n" .. ngx.var.remote_addr
  local now = guards:incr(key, 1, 0, FORGOTTEN)
  if not now then return false end
  if now > limit.connections then
    guards:incr(key, -1)
    return false
  end
  guards:expire(key, FORGOTTEN)
  state.places[#state.places + 1] = key
  return true
end

local function give_back(keys)
  for _, key in ipairs(keys) do
    local left = guards:incr(key, -1)
    if left and left <= 0 then guards:delete(key) end
  end
end

-- To be called for a state that will not be used.
function _M.release(state)
  give_back(state.places)
  state.places = {}
end

-- At the end of a request. Its variables outlive what an internal redirect to an error page throws away.
function _M.done()
  local held = ngx.var.fl_held
  if not held or held == "" then return end
  local keys = {}
  for key in held:gmatch("[^\1]+") do keys[#keys + 1] = key end
  give_back(keys)
end

function _M.hold(state)
  if #state.places > 0 then ngx.var.fl_held = table.concat(state.places, "\1") end
end

local function quoted(text) return (gsub(text, '["\\]', "\\%0")) end

local function challenge(value)
  return { status = 401, text = "A name and a password are needed.\n", fields = { { "www-authenticate", value } } }
end

local function rewritten(filter, path)
  local groups = ngx.re.match(path, filter.pattern, "jo")
  if not groups then return path end
  local text = gsub(filter.replacement, "%$(%d)", function(digit) return groups[tonumber(digit)] or "" end)
  return byte(text) == 47 and text or "/" .. text
end

-- Fields that say what a client has shown of itself, and only we may write.
local CERTIFICATE_FIELDS = { "ssl-client-verify", "ssl-client-subject-dn", "ssl-client-issuer-dn", "ssl-client-cert" }
-- OpenSSL's words for a certificate that nobody has vouched for, rather than one that is no good.
local UNVOUCHED = {
  ["FAILED:self-signed certificate"] = true, ["FAILED:self signed certificate"] = true,
  ["FAILED:self-signed certificate in certificate chain"] = true, ["FAILED:self signed certificate in certificate chain"] = true,
  ["FAILED:unable to get local issuer certificate"] = true, ["FAILED:unable to get issuer certificate"] = true,
  ["FAILED:unable to verify the first certificate"] = true, ["FAILED:certificate not trusted"] = true,
}

local function judge(filter, state)
  local var = ngx.var
  local verdict = var.ssl_client_verify
  if not verdict or verdict == "" then verdict = "NONE" end
  local good = verdict == "SUCCESS" or (verdict == "NONE" and filter.verify ~= "on")
    or (filter.verify == "optional_no_ca" and UNVOUCHED[verdict])
  if not good then
    if filter.errorPage then return redirect(302, template.render(filter.errorPage, state.found)) end
    return { status = 400 }
  end
  local subject = verdict ~= "NONE" and var.ssl_client_s_dn or ""
  if filter.subject and not ngx.re.find(subject, filter.subject, "jo") then return { status = 403 } end
  for _, name in ipairs(CERTIFICATE_FIELDS) do
    ngx.req.clear_header(name)
    ngx.req.clear_header((gsub(name, "-", "_")))
  end
  ngx.req.set_header("ssl-client-verify", verdict)
  if verdict ~= "NONE" then
    ngx.req.set_header("ssl-client-subject-dn", subject)
    ngx.req.set_header("ssl-client-issuer-dn", var.ssl_client_i_dn or "")
    if filter.pass then ngx.req.set_header("ssl-client-cert", var.ssl_client_escaped_cert or "") end
  end
  return nil
end

local apply = {}

function apply.Tracing(filter)
  if filter.on then trace.restart() else trace.leave() end
end

function apply.SslRedirect(filter, state)
  local found = state.found
  -- Whoever asks for a certificate must find the way in clear.
  if template.scheme(found) == "https" or find(found.path, "/.well-known/acme-challenge/", 1, true) == 1 then return nil end
  local port = filter.port and ":" .. filter.port or ""
  local rest = found.path .. found.query
  if filter.cutSlash then rest = gsub(rest, "/$", "") end
  return redirect(filter.status, "https://" .. found.host .. port .. rest)
end

function apply.UrlRedirect(filter, state)
  if filter.path and filter.path ~= state.found.path then return nil end
  local location = template.render(filter.url, state.found)
  if filter.cutSlash then location = gsub(location, "/$", "") end
  return redirect(filter.status, location)
end

function apply.RegexRewrite(filter, state)
  state.path = rewritten(filter, state.path)
end

-- Its location holds the answer to it.
function apply.AnswerRate(filter, state)
  state.rate = filter
end

function apply.CloseConnection()
  ngx.var.fl_close = "close"
end

function apply.BodyLimit(filter)
  local length = tonumber(ngx.var.http_content_length)
  if length and length > filter.bytes then return { status = 413 } end
end

function apply.RateLimit(filter)
  if not has_room(filter) then return { status = filter.status, fields = {}, text = "Too many requests.\n" } end
end

function apply.ConnectionLimit(filter, state)
  if not take_place(filter, state) then return { status = filter.status, fields = {}, text = "Too many requests at once.\n" } end
end

function apply.SourceRanges(filter, state)
  local let_in = not within(filter.deny) and (not filter.allow or within(filter.allow))
  if filter.satisfyAny then
    state.trusted, state.stranger = let_in, not let_in
    return nil
  end
  return not let_in and FORBIDDEN or nil
end

local function users_of(filter)
  return rows.get("users/" .. filter.users) or {}
end

function apply.BasicAuth(filter, state)
  if state.trusted then return nil end
  if not passwords.knows(users_of(filter), template.header("authorization")) then
    return challenge('Basic realm="' .. quoted(filter.realm) .. '"')
  end
  state.stranger = false
end

function apply.DigestAuth(filter, state)
  if state.trusted then return nil end
  local asks = digest.challenge(users_of(filter), filter.realm, state.found, template.header("authorization"))
  if asks then return challenge(asks) end
  state.stranger = false
end

function apply.ExternalAuth(filter, state)
  if state.trusted then return nil end
  state.stranger = false
  state.authorize = filter
end

function apply.ErrorPages(filter, state)
  state.errors = filter
end

apply.ClientCertificate = judge

-- Applies one of them: returns whether it is one, and an answer when there is one in the place of the backend's.
function _M.apply(filter, state)
  local act = apply[filter.type]
  if not act then return false end
  return true, act(filter, state)
end

-- After all of them: a client that nothing has let in.
function _M.verdict(state)
  return state.stranger and FORBIDDEN or nil
end

-- The token of the cookie of an affinity, and what stands behind it where it came from a canary. nil: it is none of ours.
local function stay_of(said)
  local token, suffix = string.match(said or "", "^([0-9a-f]+)(%-?c?)$")
  if token and #token == 32 and (suffix == "" or suffix == "-c") then return token, suffix end
end
_M.stay_of = stay_of

-- Share of requests, from 0 to 1, that a canary takes: by where their client has been, by header, then by cookie, then by weight.
function _M.canary_share(canary)
  local _, been = stay_of(canary.sticky and template.cookie(canary.sticky))
  if been then return been == "" and 0 or 1 end
  local wanted = canary.header
  local value = wanted and template.header(wanted.name)
  if value then
    if wanted.value then
      if value == wanted.value then return 1 end
    elseif wanted.pattern then
      if ngx.re.find(value, wanted.pattern, "jo") then return 1 end
    elseif value == "always" then return 1
    elseif value == "never" then return 0 end
  end
  if canary.cookie then
    local said = template.cookie(canary.cookie)
    if said == "always" then return 1 end
    if said == "never" then return 0 end
  end
  return canary.weight / canary.total
end

-- The cookie that keeps a client with its endpoint.
function _M.affinity_field(affinity, said, found)
  local parts = { affinity.cookie .. "=" .. said, "Path=" .. (affinity.path or "/") }
  local function say(text) parts[#parts + 1] = text end
  if affinity.domain then say("Domain=" .. affinity.domain) end
  if affinity.expires then say("Expires=" .. ngx.cookie_time(ngx.time() + affinity.expires)) end
  if affinity.maxAge then say("Max-Age=" .. affinity.maxAge) end
  say("HttpOnly")
  if affinity.secure or template.scheme(found) == "https" then say("Secure") end
  if affinity.sameSite then say("SameSite=" .. affinity.sameSite) end
  return table.concat(parts, "; ")
end

return _M
