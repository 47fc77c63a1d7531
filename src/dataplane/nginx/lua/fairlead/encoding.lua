-- Reads what encoding.ts writes: tagged netstrings. Every value says its length before it.
local find, sub, byte, tonumber = string.find, string.sub, string.byte, tonumber

local TEXT, NUMBER, BOOLEAN, LIST, MAP = 44, 94, 33, 93, 125

local _M = {}

local value

local function elements(text, from, to)
  local list, n = {}, 0
  while from <= to do
    n = n + 1
    list[n], from = value(text, from)
  end
  return list
end

local function members(text, from, to)
  local map = {}
  while from <= to do
    local name
    name, from = value(text, from)
    map[name], from = value(text, from)
  end
  return map
end

-- The value at a position, and the position behind it.
function value(text, at)
  local colon = find(text, ":", at, true)
  local length = colon and tonumber(sub(text, at, colon - 1))
  if not length then error("a row is malformed") end
  local from, to = colon + 1, colon + length
  local kind = byte(text, to + 1)
  if kind == TEXT then return sub(text, from, to), to + 2 end
  if kind == MAP then return members(text, from, to), to + 2 end
  if kind == LIST then return elements(text, from, to), to + 2 end
  if kind == NUMBER then return tonumber(sub(text, from, to)), to + 2 end
  if kind == BOOLEAN then return sub(text, from, to) == "true", to + 2 end
  error("a row is malformed")
end

_M.value = value

-- A whole row.
function _M.decode(text)
  return (value(text, 1))
end

return _M
