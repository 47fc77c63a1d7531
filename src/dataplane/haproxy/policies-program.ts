/**
 * The part of HAProxy's program that does what only ingress-nginx has: guards, limits, redirects, canaries. It means what the embedded data
 * plane's `policies.ts` means. Parts of rows come from `policyRow`; what is counted is in HAProxy's stick tables, for all threads.
 */
export const luaPolicies = String.raw`
local function client_of(request)
  return header(request, "x-real-ip") or ""
end

local function scheme_of(request)
  local said = header(request, "x-forwarded-proto")
  if said == "http" or said == "https" then return said end
  return request.scheme
end

-- An answer of our own, with fields as name and value in turn.
local function answer_with(txn, status, text, fields)
  local reply = txn:reply({ status = status })
  for i = 1, #fields, 2 do reply:add_header(fields[i], fields[i + 1]) end
  reply:add_header("content-type", "text/plain; charset=utf-8")
  reply:add_header("x-content-type-options", "nosniff")
  reply:add_header("cache-control", "no-store")
  reply:add_header("x-request-id", txn:get_var("txn.id") or "")
  if status == 503 then reply:add_header("retry-after", "1") end
  reply:set_body(status .. " " .. text .. " Request " .. (txn:get_var("txn.id") or "") .. "\n")
  txn:done(reply)
end

-- Addresses ---------------------------------------------------------------------------------------------------------

local function bits_of_value(value, size)
  local out = {}
  for i = size, 1, -1 do
    out[i] = value & 1
    value = value >> 1
  end
  return table.concat(out)
end

-- The family of an address and its bits as text; nil for what is none.
local function bits_of(text)
  text = text:gsub("^::ffff:(%d+%.%d+%.%d+%.%d+)$", "%1")
  if text:match("^%d+%.%d+%.%d+%.%d+$") then
    local out = {}
    for part in text:gmatch("%d+") do out[#out + 1] = bits_of_value(tonumber(part) & 255, 8) end
    return "4", table.concat(out)
  end
  if not text:match("^[%x:]+$") then return nil end
  local function groups(part)
    local list = {}
    for group in part:gmatch("%x+") do list[#list + 1] = tonumber(group, 16) & 65535 end
    return list
  end
  local head, tail = text:match("^(.-)::(.*)$")
  local first, last = groups(head or text), groups(tail or "")
  local out = {}
  for _, group in ipairs(first) do out[#out + 1] = bits_of_value(group, 16) end
  for _ = 1, 8 - #first - #last do out[#out + 1] = ("0"):rep(16) end
  for _, group in ipairs(last) do out[#out + 1] = bits_of_value(group, 16) end
  return "6", table.concat(out)
end

local prefixes = setmetatable({}, { __mode = "k" })

-- Ranges: lengths of IPv4 and of IPv6, and the first bits; their rows are made by range-bits.ts.
local function within(ranges, client)
  local family, text = bits_of(client)
  if not family then return false end
  local known = prefixes[ranges]
  if not known then
    known = {}
    for _, each in ipairs(ranges[3]) do known[each] = true end
    prefixes[ranges] = known
  end
  for _, length in ipairs(family == "4" and ranges[1] or ranges[2]) do
    if known[family .. text:sub(1, tonumber(length))] then return true end
  end
  return false
end

-- Texts with parts of the request in them ----------------------------------------------------------------------------

local function cookie_of(request, name)
  local text = header(request, "cookie")
  if not text then return nil end
  for pair in text:gmatch("[^;]+") do
    local key, value = pair:match("^%s*([^=]-)%s*=%s*(.-)%s*$")
    if key == name then return value end
  end
  return nil
end

local function escaped(text)
  return (text:gsub("[^%w%-_.!~*'()]", function(c) return string.format("%%%02X", c:byte()) end))
end

local facts = {
  scheme = scheme_of,
  host = function(request) return request.host end,
  http_host = function(request) return header(request, "host") end,
  server_port = function(request) return tostring(request.port) end,
  request_method = function(request) return request.method end,
  uri = function(request) return request.path end,
  request_uri = function(request) return request.path .. request.query end,
  escaped_request_uri = function(request) return escaped(request.path .. request.query) end,
  args = function(request) return request.query:sub(2) end,
  is_args = function(request) return request.query:sub(1, 1) end,
  remote_addr = client_of,
  req_id = function(request) return header(request, "x-request-id") end,
}
facts.pass_access_scheme = facts.scheme
facts.best_http_host = facts.http_host
facts.document_uri = facts.uri
facts.query_string = facts.args
facts.the_real_ip = facts.remote_addr
facts.binary_remote_addr = facts.remote_addr
facts.request_id = facts.req_id

local function fact_of(name, request)
  if facts[name] then return facts[name](request) end
  local kind, rest = name:match("^(%l+)_([%w_]+)$")
  if kind == "http" then return header(request, rest:gsub("_", "-"):lower()) end
  if kind == "cookie" then return cookie_of(request, rest) end
  -- As it was sent: decoded, it could bring a line end into a header field.
  if kind == "arg" then
    for pair in request.query:sub(2):gmatch("[^&]+") do
      local key, value = pair:match("^([^=]*)=(.*)$")
      if key == rest then return value end
    end
  end
  return nil
end

-- Parts of a template: a text, or the name of a fact.
local function rendered(template, request)
  local out = {}
  for i, part in ipairs(template) do
    out[i] = part[1] == "t" and part[2] or fact_of(part[2], request) or ""
  end
  return table.concat(out)
end

-- Expressions with groups: the leftmost match, in time linear in the length of the text -------------------------------

local function captured(code, text)
  local threads, best, seen, position = {}, nil, {}, 0
  local function follow(list, first, from, before, after)
    local stack = { { first, from } }
    while #stack > 0 do
      local at, saved = stack[#stack][1], stack[#stack][2]
      stack[#stack] = nil
      if seen[at] ~= position then
        seen[at] = position
        local step = code[at + 1]
        if step.op == "m" then
          best = saved
          return true
        elseif step.op == "s" then list[#list + 1] = { at, saved }
        elseif step.op == "j" then
          stack[#stack + 1] = { step.second, saved }
          stack[#stack + 1] = { step.first, saved }
        elseif step.op == "v" then
          local copy = {}
          for slot, value in pairs(saved) do copy[slot] = value end
          copy[step.first] = position
          stack[#stack + 1] = { at + 1, copy }
        elseif conditions[step.condition](before, after) then stack[#stack + 1] = { at + 1, saved } end
      end
    end
    return false
  end
  while true do
    local now, cut = {}, false
    local before, after = position > 0 and text:byte(position) or nil, text:byte(position + 1)
    for _, thread in ipairs(threads) do
      if follow(now, thread[1], thread[2], before, after) then cut = true break end
    end
    if not cut and not best then follow(now, 0, {}, before, after) end
    if not after or (#now == 0 and best) then break end
    threads = {}
    for _, thread in ipairs(now) do
      if code[thread[1] + 1].takes[after] then threads[#threads + 1] = { thread[1] + 1, thread[2] } end
    end
    position = position + 1
  end
  if not best then return nil end
  return function(group)
    local from, to = best[2 * group], best[2 * group + 1]
    return from and to and text:sub(from + 1, to) or ""
  end
end

local function rewritten(part, path)
  local group = captured(automaton_of(part, part[2]), path)
  if not group then return path end
  local text = part[3]:gsub("%$(%d)", function(digit) return group(tonumber(digit)) end)
  return text:sub(1, 1) == "/" and text or "/" .. text
end

-- Passwords -----------------------------------------------------------------------------------------------------------

local letters = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
local right, right_count = {}, 0

local function same(txn, a, b)
  -- In a time that says nothing of where they differ.
  local left, other = txn.c:sha1(a), txn.c:sha1(b)
  local differs = 0
  for i = 1, #left do differs = differs | (left:byte(i) ~ other:byte(i)) end
  return differs == 0
end

local function md5_crypt(txn, password, salt, magic)
  local function md5(text) return txn.c:digest(text, "md5") end
  local alternate = md5(password .. salt .. password)
  local first = { password, magic, salt }
  for left = #password, 1, -16 do first[#first + 1] = alternate:sub(1, math.min(16, left)) end
  local count = #password
  while count > 0 do
    first[#first + 1] = count & 1 == 1 and "\0" or password:sub(1, 1)
    count = count >> 1
  end
  local digest = md5(table.concat(first))
  for round = 0, 999 do
    local odd = round % 2 == 1
    digest = md5((odd and password or digest) .. (round % 3 ~= 0 and salt or "") .. (round % 7 ~= 0 and password or "")
      .. (odd and digest or password))
  end
  local out = {}
  local function say(value, size)
    for _ = 1, size do
      local at = (value & 63) + 1
      out[#out + 1] = letters:sub(at, at)
      value = value >> 6
    end
  end
  for _, t in ipairs({ { 1, 7, 13 }, { 2, 8, 14 }, { 3, 9, 15 }, { 4, 10, 16 }, { 5, 11, 6 } }) do
    say((digest:byte(t[1]) << 16) | (digest:byte(t[2]) << 8) | digest:byte(t[3]), 4)
  end
  say(digest:byte(12), 2)
  return magic .. salt .. "$" .. table.concat(out)
end

-- What only crypt(3) knows is asked of whoever wrote the rows (password-service.ts); nil where nobody answers.
local passwords_at = os.getenv("FAIRLEAD_PASSWORDS")
local function crypted(txn, password, entry)
  if #password > 1024 then return false end
  local socket, said = core.tcp(), nil
  socket:settimeout(30)
  if socket:connect(passwords_at) and socket:send(txn.c:base64(entry) .. " " .. txn.c:base64(password) .. "\n") then
    said = socket:receive("*l")
  end
  socket:close()
  if said ~= "1" and said ~= "0" then return nil end
  return said == "1"
end

local function verify(txn, password, entry)
  local kind, salt = entry:match("^%$(%w+)%$([^$]+)%$")
  if (kind == "apr1" or kind == "1") and #salt <= 8 then return same(txn, md5_crypt(txn, password, salt, "$" .. kind .. "$"), entry) end
  if entry:sub(1, 5) == "{SHA}" then return same(txn, txn.c:base64(txn.c:sha1(password)), entry:sub(6)) end
  if entry:sub(1, 7) == "{PLAIN}" then return same(txn, password, entry:sub(8)) end
  if entry:sub(1, 6) == "{SSHA}" then
    local bytes = txn.c:b64dec(entry:sub(7)) or ""
    return #bytes > 20 and same(txn, txn.c:sha1(password .. bytes:sub(21)), bytes:sub(1, 20))
  end
  return crypted(txn, password, entry)
end

local function fits(txn, password, entry)
  local id = txn.c:sha1(entry .. "\0" .. password)
  if right[id] then return true end
  local verdict = verify(txn, password, entry)
  if not verdict then return verdict end
  if right_count >= 1024 then right, right_count = {}, 0 end
  right[id] = true
  right_count = right_count + 1
  return true
end

local users_of = setmetatable({}, { __mode = "k" })

-- nil where that cannot be told.
local function knows(txn, row, field)
  local word = field and field:match("^[Bb][Aa][Ss][Ii][Cc] +([%w+/=]+)$")
  local name, password = (word and txn.c:b64dec(word) or ""):match("^([^:]*):(.*)$")
  if not name then return false end
  local users = users_of[row]
  if not users then
    users = {}
    for _, user in ipairs(row) do users[user[1]] = user[2] end
    users_of[row] = users
  end
  if users[name] == nil then return false end
  return fits(txn, password, users[name])
end

-- After the limits, so that whoever tries passwords comes to their end.
local function has_password(txn, state)
  local part = state.password
  if not part then return true end
  local users = row_of(part[3])
  local known = false
  if users then known = knows(txn, users, header(state.request, "authorization")) end
  if known then return true end
  if known == nil then state.answer(500, "The password could not be checked.", {})
  else
    local realm = part[2]:gsub('["\\]', "\\%0")
    state.answer(401, "A name and a password are needed.", { "www-authenticate", 'Basic realm="' .. realm .. '"' })
  end
  return false
end

-- What is done --------------------------------------------------------------------------------------------------------

-- The token of the cookie of an affinity, and what stands behind it where it came from a canary. nil: it is none of ours.
local function stay_of(said)
  local token, suffix = (said or ""):match("^([0-9a-f]+)(%-?c?)$")
  if token and #token == 32 and (suffix == "" or suffix == "-c") then return token, suffix end
end

local function canary_share(part, request)
  local _, been = stay_of(part[9] ~= "" and cookie_of(request, part[9]) or nil)
  if been then return been == "" and 0 or 1 end
  local value = part[5] ~= "" and header(request, part[5]) or nil
  if value then
    if part[6] == "value" then
      if value == part[7] then return 1 end
    elseif part[6] == "pattern" then
      if part[7] ~= "" and runs(automaton_of(part, part[7]), value) then return 1 end
    elseif value == "always" then return 1
    elseif value == "never" then return 0 end
  end
  if part[8] ~= "" then
    local said = cookie_of(request, part[8])
    if said == "always" then return 1 end
    if said == "never" then return 0 end
  end
  return tonumber(part[3]) / tonumber(part[4])
end

-- By the kind of a part: what is true has given the answer. The state is of one request.
local policies = {}

-- Of a million traces that begin here.
local sampled_share = tonumber(os.getenv("FAIRLEAD_SAMPLE") or "0")

policies["tracing"] = function(part, state)
  local txn, http = state.txn, state.txn.http
  local parent = txn:get_var("txn.parent")
  -- No request is traced.
  if not txn:get_var("txn.traceparent") then return false end
  if part[2] == "0" then
    txn:set_var("txn.traceparent", "")
    txn:unset_var("txn.sampled")
    local said, about = parent or txn:get_var("txn.said"), txn:get_var("txn.state")
    state.request.headers["traceparent"] = said and { [0] = said }
    if said then http:req_set_header("traceparent", said) else http:req_del_header("traceparent") end
    if about then http:req_set_header("tracestate", about) end
    return false
  end
  -- What the client says counts for nothing: a trace of its own.
  if not parent then return false end
  local sampled = txn.f:rand(1000000) < sampled_share
  local sent = "00-" .. (txn.f:uuid():gsub("-", "")) .. "-" .. txn:get_var("txn.span") .. (sampled and "-03" or "-02")
  txn:set_var("txn.traceparent", sent)
  txn:unset_var("txn.parent")
  state.request.headers["traceparent"] = { [0] = sent }
  http:req_set_header("traceparent", sent)
  http:req_del_header("tracestate")
  if sampled and not txn:get_var("txn.note") then txn:set_var("txn.late", state.request.target) end
  return false
end

policies["ssl-redirect"] = function(part, state)
  local request = state.request
  if scheme_of(request) == "https" or request.path:sub(1, 28) == "/.well-known/acme-challenge/" then return false end
  local port = part[3] == "" and "" or ":" .. part[3]
  local rest = request.path .. request.query
  if part[4] == "1" then rest = rest:gsub("/$", "") end
  state.answer(tonumber(part[2]), "Look there.", { "location", "https://" .. request.host .. port .. rest })
  return true
end

policies["url-redirect"] = function(part, state)
  if part[3] ~= "" and part[3] ~= state.request.path then return false end
  local location = rendered(part[4], state.request)
  if part[5] == "1" then location = location:gsub("/$", "") end
  state.answer(tonumber(part[2]), "Look there.", { "location", location })
  return true
end

policies["regex-rewrite"] = function(part, state)
  state.path = rewritten(part, state.path)
  return false
end

policies["answer-rewrite"] = function(part, state)
  state.rewrites[#state.rewrites + 1] = { what = part[2], from = rendered(part[3], state.request), to = rendered(part[4], state.request) }
  return false
end

local function bare(domain) return (domain:lower():gsub("^%.", "")) end

-- What stands in the place of something else in an endpoint's answer.
local function rewrite_answer(http, each)
  local from, to, headers = each.from, each.to, http:res_get_headers()
  local function begins(text) return text:sub(1, #from) == from and to .. text:sub(#from + 1) or text end
  if each.what == "location" then
    local location, refresh = headers["location"], headers["refresh"]
    if location then http:res_set_header("location", begins(location[0])) end
    if refresh then
      http:res_set_header("refresh", (refresh[0]:gsub("([uU][rR][lL]=)(.*)$", function(before, url) return before .. begins(url) end)))
    end
    return
  end
  local cookies, attribute = headers["set-cookie"], each.what:sub(#"cookie-" + 1)
  if not cookies then return end
  http:res_del_header("set-cookie")
  for i = 0, #cookies do
    http:res_add_header("set-cookie", (cookies[i]:gsub("(;%s*)([^=;]+)=([^;]*)", function(before, key, text)
      if key:gsub("%s", ""):lower() ~= attribute then return nil end
      local now = attribute == "path" and begins(text) or bare(text) == bare(from) and to or text
      return before .. key .. "=" .. now
    end)))
  end
end

policies["ranges"] = function(part, state)
  local client = client_of(state.request)
  local let_in = not within(part[5], client) and (part[3] ~= "1" or within(part[4], client))
  if part[2] == "1" then
    state.trusted, state.stranger = let_in, not let_in
    return false
  end
  if let_in then return false end
  state.answer(403, "This client is not allowed here.", {})
  return true
end

policies["basic"] = function(part, state)
  if not state.trusted then state.stranger, state.password = false, part end
  return false
end

-- Only a body whose size is said: no other can be counted here.
policies["body"] = function(part, state)
  local length = tonumber(header(state.request, "content-length") or "")
  if not length or length <= tonumber(part[2]) then return false end
  state.answer(413, "The request body is too large.", {})
  return true
end

policies["close"] = function(_, state)
  state.txn:set_var("txn.close", 1)
  return false
end

-- Only where the configuration asks how fast an answer may be: HAProxy 2.7 and newer.
policies["pace"] = function(part, state)
  state.pace = part
  state.txn:set_var("txn.paced", 1)
  return false
end

policies["rate"] = function(part, state)
  local client = client_of(state.request)
  if within(part[6], client) then return false end
  local rates = state.rates
  if #rates == 2 then
    state.answer(500, "The route for this host and path cannot be served as it is written.", {})
    return true
  end
  rates[#rates + 1] = part
  state.txn:set_var("txn.rate" .. #rates, part[2] .. " " .. client)
  return false
end

policies["connections"] = function(part, state)
  local client = client_of(state.request)
  if within(part[5], client) then return false end
  state.connections = part
  state.txn:set_var("txn.connections", part[2] .. " " .. client)
  return false
end

-- After the keys are tracked: a leaky bucket, as limit_req with nodelay. What a table keeps is when all that was let in will have leaked
-- out, in thousandths of a request.
local function wrapped(value) return value & 0xffffffff end

local function rate(txn, part, index, kept)
  local now = core.now()
  local at = wrapped((now.sec * 1000000 + now.usec) * 1000 // tonumber(part[3]))
  local excess = 0
  if kept ~= 0 then
    local ahead = wrapped(kept - at)
    if ahead >= 0x80000000 then ahead = 0 end
    excess = ahead + 1000
    if excess > tonumber(part[4]) * 1000 then return false end
  end
  local after = wrapped(at + excess)
  txn:set_var("txn.kept" .. index, after == 0 and 1 or after)
  return true
end

core.register_action("limits", { "http-req" }, function(txn)
  local said = txn:get_priv()
  local limits = said and said.limits
  if not limits then return end
  if limits.connections and txn.f:sc1_conn_cur() > tonumber(limits.connections[3]) then
    return answer_with(txn, tonumber(limits.connections[4]), "Too many requests at once.", said.own)
  end
  for index, part in ipairs(limits.rates) do
    local kept = index == 1 and txn.f:sc0_get_gpt0() or txn.f:sc2_get_gpt0()
    if not rate(txn, part, index, kept) then return answer_with(txn, tonumber(part[5]), "Too many requests.", said.own) end
  end
end)
`;
