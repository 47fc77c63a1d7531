/**
 * The part of HAProxy's program that comes after a request was decided: who has not been let in yet, pages in the place of errors, copies. A page
 * and the body of a copy must fit into one of HAProxy's buffers.
 */
export const luaPages = String.raw`
-- Bytes of a page, and of a request's body that is copied.
local most_bytes = 12288
-- Copies under way in this thread; beyond it there is none.
local most_copies, copies = 100, 0

local per_connection = { connection = true, ["keep-alive"] = true, ["transfer-encoding"] = true, ["content-length"] = true, trailer = true, upgrade = true }

local function has_page(state, status)
  local code = tostring(status)
  for _, each in ipairs(state.errors and state.errors[3] or {}) do
    if each == code then return true end
  end
  return false
end

-- Answers with the page for a status; false where there is none. Whoever forgets the status must not let anyone in (CVE-2026-24513).
local function answered_by_page(txn, state, status)
  local part, request = state.errors, state.request
  local told = {
    ["x-code"] = tostring(status), ["x-format"] = header(request, "accept") or "", ["x-original-uri"] = request.path .. request.query,
    ["x-request-id"] = txn:get_var("txn.id") or "",
  }
  for _, each in ipairs(part[4]) do told[each[1]:lower()] = each[2] end
  local seen, fields = {}, { "host", header(request, "host") or "" }
  for name, values in pairs(request.headers) do if not told[name] then seen[name] = values end end
  for name, value in pairs(told) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  pass_on(fields, seen)
  local code, answer, body = asked(part[2], "GET", "/", fields, nil, most_bytes)
  if not code or not body then
    -- No endpoint's answer is shown in its place either.
    answer_with(txn, status, "The endpoint could not serve this request.", {})
    return
  end
  for _, changes in ipairs(state.changes) do
    change_fields(changes, function(name) return answer[name] and table.concat(answer[name], ",") end,
      function(name) answer[name] = nil end, function(name, value) answer[name] = { value } end)
  end
  for i = 1, #state.own, 2 do answer[state.own[i]] = { state.own[i + 1] } end
  answer.server = answer.server or { "fairlead" }
  local reply = txn:reply({ status = (status == 401 or status == 403) and status or code })
  for name, values in pairs(answer) do
    for _, value in ipairs(per_connection[name] and {} or values) do reply:add_header(name, value) end
  end
  if request.method ~= "HEAD" then reply:set_body(body) end
  txn:done(reply)
end

policies["errors"] = function(part, state)
  state.errors = part
  return false
end

core.register_action("page", { "http-res" }, function(txn)
  local state, status = txn:get_priv(), txn.f:status()
  if state and has_page(state, status) then answered_by_page(txn, state, status) end
end)

-- After the limits: what is still to be known before a request has its slot.
core.register_action("settle", { "http-req" }, function(txn)
  local state = txn:get_priv()
  if not state then return end
  if state.refuse then return state.refuse() end
  if not has_password(txn, state) or not is_counted(txn, state) or (state.ask and not authorized(txn, state)) then return end
  -- Without one it has an answer already.
  if state.slot then txn:set_var("txn.slot", state.slot) end
end)

policies["mirror"] = function(part, state)
  if math.random() * tonumber(part[4]) < tonumber(part[3]) then state.copies[#state.copies + 1] = part end
  return false
end

-- Copies of a request whose body is there: nobody waits for them, and what becomes of them changes nothing.
core.register_action("copy", { "http-req" }, function(txn)
  local state = txn:get_priv()
  local headers = txn.http:req_get_headers()
  local length = headers["content-length"] and tonumber(headers["content-length"][0])
  local whole, body = not headers["transfer-encoding"] and (length or 0) <= most_bytes, nil
  if whole then body = length and length > 0 and txn.sf:req_body() or nil end
  if #(body or "") ~= (length or 0) then whole = false end
  local fields, hosts = {}, {}
  for name, values in pairs(headers) do
    for i = 0, (per_connection[name] or name == "te" or name == "expect") and -1 or #values do
      fields[#fields + 1] = name
      fields[#fields + 1] = values[i]
      if name == "host" then hosts[#hosts + 1] = #fields end
    end
  end
  local method, path = state.request.method, state.path .. state.request.query
  for _, part in ipairs(state.copies) do
    local bare = part[6] == "1"
    if copies < most_copies and (whole or bare) then
      copies = copies + 1
      local own = fields
      if part[5] ~= "" then
        own = { table.unpack(fields) }
        for _, at in ipairs(hosts) do own[at] = part[5] end
      end
      core.register_task(function()
        pcall(asked, part[2], method, path, own, not bare and body or nil)
        copies = copies - 1
      end)
    end
  end
end)
`;
