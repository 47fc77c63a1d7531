/**
 * The part of HAProxy's program that chooses endpoints itself, for clients that stay with theirs and for requests that go by a text. Who there
 * is it reads from rows (`endpoints.ts`); the choice is that of the embedded data plane, so that clients keep their endpoint on another one.
 */
export const luaBalance = String.raw`
-- By slot: its row, and the text that it was read from.
local endpoint_lists = {}

-- How endpoints are spoken to, and each of them: address, port, server, id. nil for a slot that the program was not told of.
local function endpoints_of(slot)
  local key = "w|" .. slot
  local text = routes:lookup(key)
  if not text then return nil end
  local known = endpoint_lists[slot]
  if known and known.text == text then return known end
  local whole = look(key)
  if not whole then return nil end
  known = parsed(whole)
  known.text = text
  endpoint_lists[slot] = known
  return known
end

-- The server of a slot that has an id; else that with the highest hash of its address and a text, or one of so many as subset says. nil:
-- HAProxy's own choice.
local function server_of(txn, slot, id, text, subset)
  local list = endpoints_of(slot)
  local best, most
  local hashed = {}
  for i = 2, list and #list or 0 do
    local endpoint = list[i]
    if endpoint[4] == id then return endpoint[3] end
    if text then
      local hash = txn.c:hex(txn.c:digest(endpoint[1] .. " " .. endpoint[2] .. " " .. text, "md5"))
      hashed[#hashed + 1] = { hash, endpoint[3] }
      if not most or hash >= most then best, most = endpoint[3], hash end
    end
  end
  if subset > 1 and #hashed > 1 then
    table.sort(hashed, function(a, b) return a[1] > b[1] end)
    return hashed[math.random(math.min(subset, #hashed))][2]
  end
  return best
end

-- The field that tells a client where it stays; nil when it knows it already, or has none.
local function affinity_field(txn, stays)
  local name, list, id = txn.sf:srv_name(), endpoints_of(stays.slot), nil
  for i = 2, list and #list or 0 do
    if list[i][3] == name then id = list[i][4] end
  end
  local said = id and (stays.key or id) .. stays.suffix
  if not said or said == stays.told then return nil end
  local part = stays.part
  local out = { part[2] .. "=" .. said, "Path=" .. part[3] }
  local function say(text) out[#out + 1] = text end
  if part[4] ~= "" then say("Domain=" .. part[4]) end
  if part[5] ~= "" then say("Expires=" .. os.date("!%a, %d %b %Y %H:%M:%S GMT", core.now().sec + tonumber(part[5]))) end
  if part[6] ~= "" then say("Max-Age=" .. part[6]) end
  say("HttpOnly")
  if part[7] == "1" or scheme_of(stays.request) == "https" then say("Secure") end
  if part[8] ~= "" then say("SameSite=" .. part[8]) end
  return table.concat(out, "; ")
end
`;
