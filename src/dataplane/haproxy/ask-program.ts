/**
 * The part of HAProxy's program that asks others itself: who authorizes requests (`auth-url`), who has pages for errors, who gets copies. It
 * connects to an endpoint, reads at most so much of the answer, and waits only so long. What goes wrong lets nobody in.
 */
export const luaAsk = String.raw`
-- Seconds without a byte of the answer.
local patience = 10
local most_fields, most_head = 100, 16384

-- An answer's header section: its status, and its fields as lists by their names in lower case. nil for what is no HTTP.
local function head_of(socket)
  local status, bytes = nil, 0
  local function line()
    local text = socket:receive("*l")
    bytes = bytes + (text and #text or 0)
    return bytes <= most_head and text or nil
  end
  for _ = 1, 5 do
    status = tonumber((line() or ""):match("^HTTP/1%.[01] ([1-9]%d%d)"))
    if not status then return nil end
    local fields = {}
    for count = 0, most_fields do
      local text = line()
      if not text or count == most_fields then return nil end
      if text == "" then break end
      local name, value = text:match("^([%w!#$%%&'*+.^_|~-]+):[ \t]*(.-)[ \t]*$")
      if not name or value:find("[%z\1-\8\10-\31\127]") then return nil end
      name = name:lower()
      fields[name] = fields[name] or {}
      table.insert(fields[name], value)
    end
    if status >= 200 then return status, fields end
  end
  return nil
end

-- The body of an answer; nil where it is larger, or does not come whole.
local function body_of(socket, status, fields, most)
  if status == 204 or status == 304 then return "" end
  if not fields["transfer-encoding"] then
    local length = fields["content-length"] and tonumber(fields["content-length"][1])
    if length == 0 then return "" end
    if length and length > most then return nil end
    local text = socket:receive(length or most + 1) or ""
    return (not length and #text <= most or #text == length) and text or nil
  end
  local parts, bytes = {}, 0
  while true do
    local size = tonumber((socket:receive("*l") or ""):match("^%x+") or "", 16)
    if size == 0 then return table.concat(parts) end
    bytes = bytes + (size or most + 1)
    if bytes > most then return nil end
    local text = socket:receive(size) or ""
    if #text ~= size or socket:receive("*l") ~= "" then return nil end
    parts[#parts + 1] = text
  end
end

-- Sends a request to one of the endpoints of a slot; fields are names and values in turn. Answers status, fields and, where it may have so
-- many bytes, the body; nil when nobody answers.
local function asked(slot, method, path, fields, body, most)
  local list = endpoints_of(slot)
  if not list or list[1] == "other" or path:find("[%z\1-\32\127]") then return nil end
  local out = { method .. " " .. path .. " HTTP/1.1", "connection: close" }
  for i = 1, #fields, 2 do
    if fields[i + 1]:find("[%z\1-\8\10-\31\127]") then return nil end
    out[#out + 1] = fields[i] .. ": " .. fields[i + 1]
  end
  if body then out[#out + 1] = "content-length: " .. #body end
  local text = table.concat(out, "\r\n") .. "\r\n\r\n" .. (body or "")
  local first = math.random(#list)
  for i = 0, math.min(#list - 1, 3) - 1 do
    local endpoint = list[2 + (first + i) % (#list - 1)]
    local host = endpoint[1]:find(":", 1, true) and "[" .. endpoint[1] .. "]" or endpoint[1]
    local socket = core.tcp()
    socket:settimeout(patience)
    local connect = list[1] == "tls" and socket.connect_ssl or socket.connect
    if connect(socket, host, tonumber(endpoint[2])) then
      local status, answer, content
      if socket:send(text) then status, answer = head_of(socket) end
      if status and most then content = body_of(socket, status, answer, most) end
      socket:close()
      return status, answer, content
    end
    socket:close()
  end
  return nil
end

-- The slot that a request for a host and a path would be led to, whatever guards it.
local function slot_for(tag, authority, target, seen)
  local host = canonical_host(authority)
  local mark = target:find("?", 1, true)
  local path = canonical_path(mark and target:sub(1, mark - 1) or target)
  local server = host and path and server_for(tag, host)
  if not server then return nil end
  local item = route_for(tag, server, {
    host = host, path = path, query = mark and target:sub(mark) or "", method = "GET", headers = {}, scheme = seen.scheme, port = seen.port,
  })
  if not item or item:sub(1, 1) ~= "r" then return item end
  for _, part in ipairs(row_of(item) or {}) do
    if part[1] == "b" then return part[2] end
  end
  return nil
end

-- Fields that say something of the connection, or of the body that the question does not have; or that are said anew.
local unasked = {
  connection = true, upgrade = true, te = true, trailer = true, ["transfer-encoding"] = true, ["content-length"] = true,
  ["content-type"] = true, ["content-encoding"] = true, expect = true, ["if-modified-since"] = true, ["if-none-match"] = true, range = true,
  host = true, ["x-original-url"] = true, ["x-original-method"] = true, ["x-sent-from"] = true, ["x-auth-request-redirect"] = true,
}

-- Adds what a client has said to the fields of a question.
local function pass_on(fields, headers)
  for name, values in pairs(headers) do
    for i = 0, unasked[name] and -1 or #values do
      fields[#fields + 1] = name
      fields[#fields + 1] = values[i]
    end
  end
end

-- The answer of a server that does not let a request in.
local function refuse(part, state, status, answer, original)
  local fields = {}
  for _, cookie in ipairs(answer and answer["set-cookie"] or {}) do
    fields[#fields + 1] = "set-cookie"
    fields[#fields + 1] = cookie
  end
  local function say(code, text, name, value)
    if value then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
    state.answer(code, text, fields)
  end
  if status == 401 and #part[7] > 0 then
    local target = rendered(part[7], state.request)
    local named = part[8] .. "="
    if not target:find("?" .. named, 1, true) and not target:find("&" .. named, 1, true) then
      target = target .. (target:find("?", 1, true) and "&" or "?") .. part[8] .. "=" .. escaped(original)
    end
    return say(302, "Look there.", "location", target)
  end
  if status == 401 then
    local challenge = answer["www-authenticate"]
    return say(401, "Authorization is needed.", "www-authenticate", challenge and table.concat(challenge, ", "))
  end
  if status == 403 then return say(403, "This is not allowed.") end
  fields = {}
  say(500, "The authorization service did not answer.")
end

-- What was said before, in this thread, by the digest of a scope and a key; beyond so many all is forgotten.
local said, said_count = {}, 0
local most_said, most_text = 4096, 4096

local function said_before(id)
  local found = id and said[id]
  if found and found.till > core.now().sec then return found.status, found.answer end
  return nil
end

-- Remembers an answer, if it may be.
local function remember_answer(id, part, status, answer)
  -- What went wrong may be right the next time.
  if status >= 500 or answer["set-cookie"] or answer["vary"] then return end
  local control = table.concat(answer["cache-control"] or {}, ","):lower()
  for _, word in ipairs({ "no-cache", "no-store", "private", "max-age=0" }) do
    if control:find(word, 1, true) then return end
  end
  local seconds, others
  for _, each in ipairs(part[13][3]) do
    if each[1] == tostring(status) then seconds = tonumber(each[2]) elseif each[1] == "any" then others = tonumber(each[2]) end
  end
  seconds = seconds or others or 0
  local kept, text = {}, 0
  local function keep(name)
    kept[name] = answer[name]
    for _, value in ipairs(answer[name] or {}) do text = text + #name + #value end
  end
  keep("www-authenticate")
  for _, name in ipairs(part[10]) do keep(name) end
  if seconds == 0 or text > most_text then return end
  if said_count >= most_said then said, said_count = {}, 0 end
  if not said[id] then said_count = said_count + 1 end
  said[id] = { status = status, answer = kept, till = core.now().sec + seconds }
end

-- Whether a request may pass; where not it has had its answer.
local function authorized(txn, state)
  local part, request = state.ask, state.request
  local path = rendered(part[5], request)
  if path:sub(1, 1) ~= "/" then path = "/" .. path end
  local host = part[4] ~= "" and part[4] or request.host
  local slot = part[2] == "pool" and part[3] or slot_for(state.tag, host, path, request)
  local original = scheme_of(request) .. "://" .. (header(request, "host") or "") .. request.path .. request.query
  local fields = {
    "host", host, "x-original-url", original, "x-original-method", request.method, "x-sent-from", "nginx-ingress-controller",
    "x-auth-request-redirect", #part[9] > 0 and rendered(part[9], request) or request.path .. request.query,
  }
  local seen = txn.http:req_get_headers()
  for _, field in ipairs(part[12]) do
    local value = rendered(field[2], request)
    -- Where they say one that is ours, it is theirs that counts.
    for i = #fields - 1, 1, -2 do
      if fields[i] == field[1]:lower() then table.remove(fields, i + 1) table.remove(fields, i) end
    end
    seen[field[1]:lower()] = nil
    fields[#fields + 1] = field[1]:lower()
    fields[#fields + 1] = value
  end
  pass_on(fields, seen)
  local id = part[13][1] and txn.c:sha1(part[13][1] .. "\0" .. rendered(part[13][2], request))
  local status, answer = said_before(id)
  if not status and slot and slot ~= "" then
    status, answer = asked(slot, part[6], path, fields)
    if status and id then remember_answer(id, part, status, answer) end
  end
  if not status or status < 200 or status > 299 then
    refuse(part, state, status, answer, original)
    return false
  end
  -- What it did not say, the client must not say in its place.
  for _, name in ipairs(part[10]) do
    if answer[name] then txn.http:req_set_header(name, table.concat(answer[name], ", ")) else txn.http:req_del_header(name) end
  end
  if answer["set-cookie"] then
    state.cookies = answer["set-cookie"]
    txn:set_var("txn.answer", 1)
  end
  return true
end

-- Answers of endpoints that have the cookies of who let their requests in.
local with_cookies = {}
for _, status in ipairs({ 200, 201, 204, 206, 301, 302, 303, 304, 307, 308 }) do with_cookies[status] = true end

local function add_cookies(txn, state)
  if not state.cookies or not (state.ask[11] == "1" or with_cookies[txn.f:status()]) then return end
  for _, cookie in ipairs(state.cookies) do txn.http:res_add_header("set-cookie", cookie) end
end

policies["ask"] = function(part, state)
  if not state.trusted then
    state.stranger = false
    state.ask = part
  end
  return false
end
`;
