import { luaAsk } from "./ask-program.ts";
import { luaBalance } from "./balance-program.ts";
import { luaCertificate } from "./certificate-program.ts";
import { luaDigest } from "./digest-program.ts";
import { luaPages } from "./pages-program.ts";
import { luaPolicies } from "./policies-program.ts";

/**
 * The program that HAProxy runs for requests that its native tables do not decide alone. It never changes, and what users
 * say is never a part of it: it reads rows (`row.ts`). What it means is what `match` and the filters of the routing room
 * mean; the contract's tests compare them.
 */
export const luaProgram = String.raw`
local routes = Map.new(os.getenv("FAIRLEAD_ROUTES"), Map._str)
-- Somebody wants to know which row a request was led by.
local reporting = os.getenv("FAIRLEAD_REPORTS") == "1"

-- Rows -----------------------------------------------------------------------------------------------------------

local function encoded(text)
  if text == "" then return "=" end
  return (text:gsub("[^%w._~/*:-]", function(c) return string.format("=%02X", c:byte()) end))
end

local function decoded(word)
  if word == "=" then return "" end
  return (word:gsub("=(%x%x)", function(d) return string.char(tonumber(d, 16)) end))
end

local function look(key)
  local text = routes:lookup(key)
  if not text or text:sub(1, 2) ~= ": " then return text end
  local id, count = text:match("^: (%w+) (%d+)$")
  local parts = {}
  for i = 0, tonumber(count) - 1 do
    local part = routes:lookup(id .. "|" .. i)
    if not part then return nil end
    parts[#parts + 1] = part:sub(2, -2)
  end
  return table.concat(parts)
end

local function parsed(text)
  local top = {}
  local stack = { top }
  for token in text:gmatch("%S+") do
    local row = stack[#stack]
    if token == "(" then
      local inner = {}
      row[#row + 1] = inner
      stack[#stack + 1] = inner
    elseif token == ")" then stack[#stack] = nil
    else row[#row + 1] = decoded(token) end
  end
  return top
end

-- Rows whose key says what they hold never change, so they are read once. At most so many are remembered.
local remembered, count, most = {}, 0, 5000

local function row_of(id)
  local known = remembered[id]
  if known then return known end
  local text = look(id)
  if not text then return nil end
  if count >= most then remembered, count = {}, 0 end
  local row = parsed(text)
  remembered[id] = row
  count = count + 1
  return row
end

local function key_of(...)
  local parts = { ... }
  for i = 1, #parts do parts[i] = encoded(parts[i]) end
  return table.concat(parts, "|")
end

-- Host and path in their one form -----------------------------------------------------------------------------------

local function canonical_host(authority)
  if authority == "" then return "" end
  local host = authority:lower()
  if host:sub(-1) ~= "]" then
    local before, port = host:match("^(.*):(%d*)$")
    if before and #port <= 5 then host = before end
  end
  if host:sub(-1) == "." then host = host:sub(1, -2) end
  if #host > 253 then return nil end
  if host:match("^%[[0-9a-f:.]+%]$") then return host end
  if host == "" or host:sub(1, 1) == "." or host:sub(-1) == "." or host:find("..", 1, true) then return nil end
  for label in host:gmatch("[^.]+") do
    if not label:match("^[a-z0-9_][a-z0-9_-]*$") or label:sub(-1) == "-" then return nil end
  end
  return host
end

local function hidden(segment)
  for part in (segment:gsub("%%2F", "\0"):gsub("%%5C", "\0") .. "\0"):gmatch("([^%z]*)%z") do
    if part:match("^%.%.?$") or part:match("^%.%.?;") then return true end
  end
  return false
end

local function canonical_path(path)
  if path:sub(1, 1) ~= "/" or path:find("[\0-\32\127\\#]") then return nil end
  local bad = false
  local text = path:gsub("%%(.?.?)", function(digits)
    if not digits:match("^%x%x$") then bad = true return "" end
    local code = tonumber(digits, 16)
    if code < 0x20 or code == 0x7f then bad = true return "" end
    local character = string.char(code)
    if character:match("^[%w._~-]$") then return character end
    return "%" .. digits:upper()
  end)
  if bad then return nil end
  text = text:gsub("[\128-\255]", function(c) return string.format("%%%02X", c:byte()) end)
  if not text:find("/.", 1, true) and not text:find("[%%;]") then return text end
  local kept = {}
  local rest = text:sub(2)
  while true do
    local slash = rest:find("/", 1, true)
    local segment = slash and rest:sub(1, slash - 1) or rest
    if segment == ".." then kept[#kept] = nil
    elseif segment ~= "." then
      if segment:find("[%%;]") and hidden(segment) then return nil end
      kept[#kept + 1] = segment
    end
    if not slash then
      if segment == "." or segment == ".." then kept[#kept + 1] = "" end
      break
    end
    rest = rest:sub(slash + 1)
  end
  return "/" .. table.concat(kept, "/")
end

-- What matches ------------------------------------------------------------------------------------------------------

local function server_for(tag, name)
  if name ~= "" then
    if look(key_of("s", tag, name)) then return name end
    local dot = name:find(".", 2, true)
    while dot do
      local key = "*" .. name:sub(dot)
      if look(key_of("s", tag, key)) then return key end
      dot = name:find(".", dot + 1, true)
    end
  end
  if look(key_of("s", tag, "")) then return "" end
  return nil
end

local function header(request, name)
  local values = request.headers[name]
  if not values then return nil end
  local list = {}
  for i = 0, #values do list[#list + 1] = values[i] end
  return table.concat(list, ", ")
end

local function form_decoded(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(d) return string.char(tonumber(d, 16)) end))
end

local function parameter(request, name)
  if not request.parameters then
    request.parameters = {}
    for pair in request.query:sub(2):gmatch("[^&]+") do
      local key, value = pair:match("^([^=]*)=?(.*)$")
      key = form_decoded(key)
      if request.parameters[key] == nil then request.parameters[key] = form_decoded(value) end
    end
  end
  return request.parameters[name]
end

-- Expressions, as automata that are in many places at once: linear in the length of the text.
local automata = setmetatable({}, { __mode = "k" })

local function automaton_of(part, text)
  local code = automata[part]
  if code then return code end
  code = {}
  for word in text:gmatch("%S+") do
    local op, first, rest = word:match("^(%a):?(%d*):?(.*)$")
    local step = { op = op, first = tonumber(first) }
    if op == "j" then step.second = tonumber(rest)
    elseif op == "a" then step.condition = rest
    elseif op == "s" then
      step.takes = {}
      for low, high in rest:gmatch("(%d+)-(%d+)") do
        for byte = tonumber(low), tonumber(high) do step.takes[byte] = true end
      end
    end
    code[#code + 1] = step
  end
  automata[part] = code
  return code
end

local function is_word(byte)
  return byte ~= nil and (byte == 95 or (byte >= 48 and byte <= 57) or (byte >= 65 and byte <= 90) or (byte >= 97 and byte <= 122))
end

local conditions = {
  beginText = function(before) return before == nil end,
  endText = function(_, after) return after == nil end,
  beginLine = function(before) return before == nil or before == 10 end,
  endLine = function(_, after) return after == nil or after == 10 end,
  wordBoundary = function(before, after) return is_word(before) ~= is_word(after) end,
  noWordBoundary = function(before, after) return is_word(before) == is_word(after) end,
}

local function runs(code, text)
  local places = { 0 }
  local before
  for at = 1, #text + 1 do
    local after = text:byte(at)
    local seen, next_places, stack = {}, {}, places
    while #stack > 0 do
      local place = stack[#stack]
      stack[#stack] = nil
      if not seen[place] then
        seen[place] = true
        local step = code[place + 1]
        if step.op == "m" then return true
        elseif step.op == "j" then
          stack[#stack + 1] = step.first
          stack[#stack + 1] = step.second
        elseif step.op == "a" then
          if conditions[step.condition](before, after) then stack[#stack + 1] = place + 1 end
        elseif after and step.takes[after] then next_places[#next_places + 1] = place + 1 end
      end
    end
    if #next_places == 0 then return false end
    places = next_places
    before = after
  end
  return false
end

-- The last word of a part is a text, or an automaton.
local function holds(part, actual)
  if part[2] == "Exact" then return actual == part[#part] end
  return part[#part] ~= "" and runs(automaton_of(part, part[#part]), actual)
end

local function accepts(row, request)
  for _, part in ipairs(row) do
    local kind = part[1]
    if kind == "method" then
      if part[2] ~= request.method then return false end
    elseif kind == "path" then
      if part[2] == "RegularExpression" and not holds(part, request.path) then return false end
    elseif kind == "header" or kind == "query" then
      local actual
      if kind == "header" then actual = header(request, part[3]) else actual = parameter(request, part[3]) end
      if actual == nil or not holds(part, actual) then return false end
    end
  end
  return true
end

local function first_of(list, request)
  if not list then return nil end
  for item in list:gmatch("%S+") do
    if item:sub(1, 1) ~= "r" then return item end
    local row = row_of(item)
    if row and accepts(row, request) then return item end
  end
  return nil
end

local function route_in(tag, server, host, meta, request)
  local path = request.path
  local exact = first_of(look(key_of("e", tag, server, host, path)), request)
  if exact then return exact end
  for i = 3, #meta do
    local row = row_of(meta[i])
    if row and accepts(row, request) then return meta[i] end
  end
  local longest = tonumber(meta[1]:match("%d+"))
  local stop = #path
  local function cut(from)
    for i = from, 1, -1 do if path:byte(i) == 47 then return i - 1 end end
    return nil
  end
  if stop > longest then stop = cut(math.min(#path, longest + 1)) end
  while stop do
    local found = first_of(look(key_of("p", tag, server, host, path:sub(1, stop))), request)
    if found then return found end
    if stop <= 0 then break end
    stop = cut(stop)
  end
  return nil
end

local function route_for(tag, server, request)
  local host = request.host
  local text = look(key_of("s", tag, server))
  local info = parsed(text)
  local ingress = info[1] == "Ingress"
  local candidates = { host }
  local dot = host:find(".", 2, true)
  while dot do
    candidates[#candidates + 1] = "*" .. host:sub(dot)
    if ingress then break end
    dot = host:find(".", dot + 1, true)
  end
  if host ~= "" then candidates[#candidates + 1] = "" end
  for _, candidate in ipairs(candidates) do
    local found = look(key_of("h", tag, server, candidate))
    if found then
      local meta = parsed(found)
      -- Empty segments are one slash here, matched and forwarded.
      if meta[1]:sub(-1) == "m" then request.path = request.path:gsub("//+", "/") end
      local item = route_in(tag, server, candidate, meta, request)
      if item then return item end
      if meta[2] ~= "" then return meta[2] end
      if ingress then break end
    end
  end
  if info[2] ~= "" then return info[2] end
  return nil
end

${luaPolicies}
${luaBalance}
${luaAsk}
${luaCertificate}
${luaDigest}
-- What is done ------------------------------------------------------------------------------------------------------

local function changed_path(path, kind, value, matched)
  if not kind then return path end
  if kind == "ReplaceFullPath" then return value ~= "" and value or "/" end
  local rest = path:sub(#matched + 1)
  local prefix = value:gsub("/+$", "")
  local out = prefix .. ((rest == "" or rest:sub(1, 1) == "/") and rest or ("/" .. rest))
  return out ~= "" and out or "/"
end

local untouchable = {
  connection = true, ["content-length"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, te = true,
  trailer = true, ["transfer-encoding"] = true, upgrade = true,
}

-- All of a field as one list.
local function field_of(headers, name)
  local values = headers[name]
  if not values then return nil end
  local list = {}
  for i = 0, #values do list[#list + 1] = values[i] end
  return table.concat(list, ",")
end

local function change_fields(changes, current, delete, set)
  for i = 2, #changes do
    local what, name, value = changes[i][1], changes[i][2]:lower(), changes[i][3]
    if not untouchable[name] then
      if what == "remove" then
        if name ~= "host" then delete(name) end
      elseif what == "set" then set(name, value)
      else
        local before = current(name)
        set(name, before and (before .. "," .. value) or value)
      end
    end
  end
end

local function backend_of(row)
  local total = 0
  for _, part in ipairs(row) do if part[1] == "b" then total = total + tonumber(part[3]) end end
  if total <= 0 then return nil end
  local left = math.random() * total
  for _, part in ipairs(row) do
    if part[1] == "b" then
      left = left - tonumber(part[3])
      if left < 0 then return part end
    end
  end
  return nil
end

local function stop(txn, status, location)
  if location then txn:set_var("txn.location", location) end
  txn:set_var("txn.status", status)
end

local function wellknown(scheme) return scheme == "https" and 443 or 80 end

local function allows_origin(origins, origin, one_label)
  local lower = origin:lower()
  for _, allowed in ipairs(origins) do
    if allowed == "*" or allowed == origin then return true end
    local star = allowed:find("*", 1, true)
    local low = allowed:lower()
    if not star then
      if low == lower then return true end
    else
      local before, after = low:sub(1, star - 1), low:sub(star + 1)
      if #lower > #before + #after and lower:sub(1, #before) == before and lower:sub(#lower - #after + 1) == after then
        local middle = lower:sub(#before + 1, #lower - #after)
        if one_label then
          if middle:match("^[a-z0-9-]+$") then return true end
        elseif middle:match("^[a-z0-9.-]+$") or (after == "" and middle:match("^[a-z0-9.-]+:%d+$")) then
          return true
        end
      end
    end
  end
  return false
end

local function contains(list, what)
  for _, each in ipairs(list) do if each == what then return true end end
  return false
end

-- Fields of an answer to another origin, as name and value in turn.
local function cors_fields(part, origin, method, headers)
  local origins, methods, allowed, exposed = part[2], part[3], part[4], part[5]
  local credentials = part[6] == "1"
  if not allows_origin(origins, origin) then return {} end
  local out = {}
  local function say(name, value) if value ~= "" then out[#out + 1] = name out[#out + 1] = value end end
  local all = contains(origins, "*") and not credentials
  say("access-control-allow-origin", all and "*" or origin)
  if not all then say("vary", "Origin") end
  if credentials then say("access-control-allow-credentials", "true") end
  local function list(values, asked)
    if contains(values, "*") then return (credentials or not method) and asked or "*" end
    return table.concat(values, ", ")
  end
  if method then
    say("access-control-allow-methods", list(methods, method))
    say("access-control-allow-headers", list(allowed, headers))
    say("access-control-max-age", part[7])
  end
  if contains(exposed, "*") then
    if not credentials then say("access-control-expose-headers", "*") end
  else say("access-control-expose-headers", table.concat(exposed, ", ")) end
  return out
end

-- The same for every answer; none when there is no origin that is allowed.
local function cors_fields_everywhere(part, origin)
  local all = contains(part[2], "*")
  if not all and not (origin and allows_origin(part[2], origin, true)) then return {} end
  local out = { "access-control-allow-origin", all and "*" or origin }
  local function say(name, value) out[#out + 1] = name out[#out + 1] = value end
  if not all then say("vary", "Origin") end
  if part[6] == "1" then say("access-control-allow-credentials", "true") end
  say("access-control-allow-methods", table.concat(part[3], ", "))
  say("access-control-allow-headers", table.concat(part[4], ", "))
  say("access-control-max-age", part[7])
  if #part[5] > 0 then say("access-control-expose-headers", table.concat(part[5], ", ")) end
  return out
end

${luaPages}
-- Whether more must be known before a request may have its slot.
local function is_unsettled(state)
  return state.password ~= nil or state.refuse ~= nil or state.ask ~= nil or state.counted ~= nil
end

-- Applies a route to a request: headers and path are changed, and a variable says which slot or which answer.
local function serve(txn, item, request, tag)
  if item:sub(1, 1) ~= "r" then return txn:set_var("txn.slot", item) end
  local row = row_of(item)
  if not row then return stop(txn, 503) end
  if reporting then txn:set_var("txn.item", item) end
  local http = txn.http
  local matched = ""
  local path = request.path
  local answer = {}
  local own = {}
  for _, part in ipairs(row) do
    if part[1] == "path" and part[2] == "Prefix" then matched = part[3] end
  end
  local state = { txn = txn, tag = tag, request = request, path = path, rates = {}, copies = {}, rewrites = {} }
  function state.answer(status, text, fields)
    for _, each in ipairs(own) do fields[#fields + 1] = each end
    answer_with(txn, status, text, fields)
  end

  local function change_request(changes)
    change_fields(changes, function(name) return field_of(http:req_get_headers(), name) end,
      function(name) http:req_del_header(name) end, function(name, value) http:req_set_header(name, value) end)
  end

  local function apply(part)
    local kind = part[1]
    if kind == "request" then change_request(part)
    elseif kind == "response" then answer[#answer + 1] = part
    elseif kind == "fields" then
      local changes = { part[2] }
      for _, field in ipairs(part[4]) do
        local value = rendered(field[2], request)
        if value ~= "" then changes[#changes + 1] = { part[3], field[1], value }
        elseif part[3] == "set" then changes[#changes + 1] = { "remove", field[1] } end
      end
      if part[2] == "request" then change_request(changes) else answer[#answer + 1] = changes end
    elseif kind == "redirect" then
      local scheme = part[3] ~= "" and part[3] or request.scheme
      local host = part[4] ~= "" and part[4] or request.host
      local port
      if part[5] ~= "" then port = tonumber(part[5])
      elseif part[3] ~= "" then port = wellknown(part[3])
      else port = request.port end
      local target = changed_path(request.path, part[6], part[7], matched)
      local shown = port == wellknown(scheme) and "" or (":" .. port)
      stop(txn, tonumber(part[2]), scheme .. "://" .. host .. shown .. target .. request.query)
      return true
    elseif kind == "rewrite" then
      state.path = changed_path(state.path, part[3], part[4], matched)
      if part[2] ~= "" then http:req_set_header("host", part[2]) end
    elseif kind == "cors" then
      local origin, method = header(request, "origin"), header(request, "access-control-request-method")
      local fields
      if part[8] == "1" then
        own = cors_fields_everywhere(part, origin)
        if request.method == "OPTIONS" and #own > 0 then fields = own end
      elseif origin and request.method == "OPTIONS" and method then
        fields = cors_fields(part, origin, method, header(request, "access-control-request-headers") or "")
      elseif origin then own = cors_fields(part, origin) end
      if fields then
        -- Fields of its own: no rule of the configuration could make this answer.
        local reply = txn:reply({ status = 204 })
        for i = 1, #fields, 2 do reply:add_header(fields[i], fields[i + 1]) end
        reply:add_header("cache-control", "no-store")
        txn:done(reply)
        return true
      end
    elseif kind == "no" then
      stop(txn, 500)
      return true
    elseif kind == "t" then txn:set_var("txn.timeout", tonumber(part[2]))
    elseif kind == "hsts" then
      if scheme_of(request) == "https" then answer[#answer + 1] = { "response", { "set", "strict-transport-security", part[2] } } end
    elseif policies[kind] then return policies[kind](part, state) end
    return false
  end

  -- What is needed later, of the request and of its answer.
  local function remember()
    local limits = (state.connections or #state.rates > 0) and state or nil
    local settles = is_unsettled(state)
    local later = limits or state.stays or settles or state.errors or state.pace
    if #answer + #own + #state.copies + #state.rewrites == 0 and not later then return end
    state.changes, state.own, state.limits = answer, own, limits
    txn:set_priv(state)
    if #answer + #own + #state.rewrites > 0 or state.stays then txn:set_var("txn.answer", 1) end
    if limits then txn:set_var("txn.limited", 1) end
    if settles then txn:set_var("txn.unsettled", 1) end
    if state.errors then txn:set_var("txn.pages", 1) end
    if #state.copies > 0 then txn:set_var("txn.copied", 1) end
  end

  for _, part in ipairs(row) do
    if part[1] ~= "b" and apply(part) then return remember() end
  end
  if state.stranger then return state.answer(403, "This client is not allowed here.", {}) end
  local canary, spare, affinity, hash
  for _, part in ipairs(row) do
    if part[1] == "canary" then canary = part
    elseif part[1] == "fallback" then spare = part
    elseif part[1] == "affinity" then affinity = part
    elseif part[1] == "hash" then hash = part end
  end
  local slot
  local to_canary = canary and math.random() < canary_share(canary, request)
  if to_canary then slot = canary[2]
  else
    local backend = backend_of(row)
    if not backend or backend[2] == "" then return stop(txn, 500) end
    for i = 4, #backend do
      if apply(backend[i]) then return remember() end
    end
    slot = backend[2]
  end
  -- In a process that drains a backend counts no server, and serves all the same.
  if spare and txn.f:nbsrv(slot) == 0 and txn.f:stopping() == 0 then
    slot = spare[2]
    if spare[3] then apply(spare[3]) end
  elseif affinity or hash then
    local id, text, subset = nil, hash and rendered(hash[2], request), hash and tonumber(hash[3]) or 1
    if affinity and not (to_canary and canary[9] == "") then
      local told = cookie_of(request, affinity[2])
      local stays = { part = affinity, slot = slot, told = told, request = request, suffix = to_canary and "-c" or "" }
      id = stay_of(told)
      if affinity[9] == "1" then
        stays.key = id or txn.f:uuid():gsub("-", "")
        id, text, subset = nil, stays.key, 1
      end
      state.stays = stays
    end
    local server = server_of(txn, slot, id, text, subset)
    if server then txn:set_var("txn.server", server) end
  end
  remember()
  if state.path ~= request.path then http:req_set_path(state.path) end
  state.slot = slot
  if not is_unsettled(state) then txn:set_var("txn.slot", slot) end
end

core.register_action("route", { "http-req" }, function(txn, tag)
  local host = canonical_host(txn.sf:req_hdr("host"))
  local target = txn.sf:pathq()
  local mark = target:find("?", 1, true)
  local sent = mark and target:sub(1, mark - 1) or target
  local path = canonical_path(sent)
  if not host or not path then return stop(txn, 400) end
  local info = parsed(look(key_of("l", tag)) or "HTTP 0 0")
  local secure = info[1] ~= "HTTP"
  local server = server_for(tag, host)
  if secure and tonumber(info[2]) > 1 then
    local arrived = server_for(tag, txn.sf:ssl_fc_sni():lower())
    if server and arrived ~= server then return stop(txn, 421) end
  end
  if not server then return stop(txn, 404) end
  local request = {
    host = host, path = path, target = target, query = mark and target:sub(mark) or "", method = txn.sf:method(), headers = txn.http:req_get_headers(),
    scheme = secure and "https" or "http", port = tonumber(info[3]),
  }
  local item = route_for(tag, server, request)
  if not item then return stop(txn, 404) end
  if request.path ~= sent then txn.http:req_set_path(request.path) end
  serve(txn, item, request, tag)
end, 1)

-- Leads a connection by what stands in a list.
local function lead(txn, item)
  if item:sub(1, 1) ~= "r" then return txn:set_var("txn.slot", item) end
  local row = row_of(item)
  local backend = row and backend_of(row)
  if backend and backend[2] ~= "" then txn:set_var("txn.slot", backend[2]) end
end

-- An ALPN extension (RFC 7301) with the one protocol of proofs (RFC 8737).
local only_proof = string.char(0, 16, 0, 13, 0, 11, 10) .. "acme-tls/1"

-- Who wants to see a proof of a name, and offers nothing else.
core.register_action("challenge", { "tcp-req" }, function(txn, tag)
  if not (txn.f:req_payload(0, 0) or ""):find(only_proof, 1, true) then return end
  local item = look(key_of("c", tag, txn:get_var("txn.name") or ""))
  if item then lead(txn, item) end
end, 1)

-- A connection of TCP, or of TLS that is passed through.
core.register_action("stream", { "tcp-req" }, function(txn, tag)
  local name = txn:get_var("txn.name") or ""
  local server = server_for(tag, name)
  if not server then return end
  local item = look(key_of("n", tag, server, name))
  local dot = name:find(".", 2, true)
  while not item and dot do
    item = look(key_of("n", tag, server, "*" .. name:sub(dot)))
    dot = name:find(".", dot + 1, true)
  end
  item = item or look(key_of("n", tag, server, ""))
  if item then lead(txn, item) end
end, 1)

core.register_action("answer", { "http-res" }, function(txn)
  local said = txn:get_priv()
  if not said then return end
  local http = txn.http
  for _, each in ipairs(said.rewrites) do rewrite_answer(http, each) end
  for i = 1, #said.own, 2 do http:res_set_header(said.own[i], said.own[i + 1]) end
  add_cookies(txn, said)
  local cookie = said.stays and affinity_field(txn, said.stays)
  if cookie then http:res_add_header("set-cookie", cookie) end
  for _, changes in ipairs(said.changes) do
    change_fields(changes, function(name) return field_of(http:res_get_headers(), name) end,
      function(name) http:res_del_header(name) end, function(name, value) http:res_set_header(name, value) end)
  end
end)

-- HAProxy holds an answer to one rate from its first byte. Where its size is known that is the one by which it takes as long as if some of it
-- were free, and a second's worth went at once.
core.register_action("pace", { "http-res" }, function(txn)
  local state = txn:get_priv()
  if not state or not state.pace then return end
  local bytes, free = tonumber(state.pace[2]), tonumber(state.pace[3])
  local length = tonumber(txn.f:res_hdr("content-length") or "")
  if length then
    local held = length - free - bytes
    if held <= 0 then return end
    bytes = math.ceil(length * bytes / held)
  end
  txn:set_var("txn.pace", math.min(bytes, 2000000000))
end)

-- Fields of one connection ------------------------------------------------------------------------------------------

local ours = {
  ["x-forwarded-for"] = true, ["x-forwarded-proto"] = true, ["x-forwarded-host"] = true, ["x-forwarded-port"] = true,
  ["x-real-ip"] = true, ["x-request-id"] = true, host = true, connection = true, upgrade = true, te = true,
  ["content-length"] = true, ["transfer-encoding"] = true,
}

local function named(values)
  local out = {}
  for i = 0, #values do
    for token in values[i]:gmatch("[^,]+") do
      local name = token:match("^%s*(.-)%s*$"):lower()
      if name ~= "" and not ours[name] and name ~= "close" and name ~= "keep-alive" then out[#out + 1] = name end
    end
  end
  return out
end

core.register_action("connection", { "http-req" }, function(txn)
  local headers = txn.http:req_get_headers()
  if headers["connection"] then
    for _, name in ipairs(named(headers["connection"])) do txn.http:req_del_header(name) end
  end
end)

local trusted = Map.new(os.getenv("FAIRLEAD_TRUSTED"), Map._ip)

local function address(text)
  if text:match("^%d+%.%d+%.%d+%.%d+$") then
    for part in text:gmatch("%d+") do if #part > 3 or tonumber(part) > 255 then return false end end
    return true
  end
  return text:find(":", 1, true) ~= nil and text:match("^[%x:.]+$") ~= nil
end

-- From a forwarder that is believed: its list is continued, and the client is the last address that is none.
core.register_action("forwarded", { "http-req" }, function(txn, proto, port)
  local headers, http = txn.http:req_get_headers(), txn.http
  local function given(name) return headers[name] and headers[name][#headers[name]] end
  local peer = txn.sf:src()
  local hops, before = {}, {}
  local values = headers["x-forwarded-for"]
  if values then for i = 0, #values do before[#before + 1] = values[i] end end
  for hop in table.concat(before, ","):gmatch("[^,]+") do
    local text = hop:match("^%s*(.-)%s*$")
    if address(text) then hops[#hops + 1] = text end
  end
  local client = hops[1] or peer
  for i = #hops, 1, -1 do
    if not trusted:lookup(hops[i]) then client = hops[i] break end
  end
  hops[#hops + 1] = peer
  local said = { proto = given("x-forwarded-proto"), host = given("x-forwarded-host"), port = given("x-forwarded-port") }
  for _, name in ipairs({ "x_forwarded_for", "x_forwarded_proto", "x_forwarded_host", "x_forwarded_port", "x_real_ip", "forwarded" }) do
    http:req_del_header(name)
  end
  http:req_set_header("x-forwarded-for", table.concat(hops, ", "))
  http:req_set_header("x-real-ip", client)
  http:req_set_header("x-forwarded-proto", said.proto or proto)
  http:req_set_header("x-forwarded-host", said.host or txn.sf:req_hdr("host"))
  http:req_set_header("x-forwarded-port", said.port or port)
end, 2)

core.register_action("connection_answer", { "http-res" }, function(txn)
  local headers = txn.http:res_get_headers()
  if headers["connection"] then
    for _, name in ipairs(named(headers["connection"])) do txn.http:res_del_header(name) end
  end
end)
`;
