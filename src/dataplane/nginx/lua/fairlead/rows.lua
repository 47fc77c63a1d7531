-- Rows in shared memory, decoded once per worker. A batch of changes leaves the names of its rows behind, so that each
-- worker forgets just these.
local encoding = require "fairlead.encoding"
local shared = ngx.shared.fairlead

-- Names of changes that are kept. A worker that has missed more forgets all.
local HISTORY = 4096
-- Decoded rows that a worker keeps at most.
local MOST = 65536

local _M = { generation = -1 }
local cache, count = {}, 0
-- Called when anything has changed: what other modules have derived from rows is no good any more.
local listeners = {}

function _M.on_change(callback) listeners[#listeners + 1] = callback end

local function forget_all() cache, count = {}, 0 end

-- To be called first in each phase that reads rows.
function _M.refresh()
  local now = shared:get("generation") or 0
  local seen = _M.generation
  if now == seen then return end
  if seen < 0 or now - seen > HISTORY or now < seen then
    forget_all()
  else
    for n = seen + 1, now do
      local names = shared:get("change/" .. n)
      if not names then
        forget_all()
        break
      end
      for _, name in ipairs(encoding.decode(names)) do cache[name] = nil end
    end
  end
  _M.generation = now
  for i = 1, #listeners do listeners[i]() end
end

-- A row by its name, or nil.
function _M.get(name)
  local row = cache[name]
  if row then return row end
  local text = shared:get("row/" .. name)
  if not text then return nil end
  row = encoding.decode(text)
  if count >= MOST then forget_all() end
  cache[name] = row
  count = count + 1
  return row
end

local function put(name, text)
  if text == false then
    shared:delete("row/" .. name)
    return true
  end
  -- Never evicts another row.
  local ok, err = shared:safe_set("row/" .. name, text)
  return ok, err
end

-- Applies a batch: a list of { name, encoded row or false }. Returns the new generation; or nil, why, and the row's name.
function _M.apply(batch)
  local names = {}
  for _, change in ipairs(batch) do
    local ok, err = put(change[1], change[2])
    if not ok then return nil, err, change[1] end
    names[#names + 1] = #change[1] .. ":" .. change[1] .. ","
  end
  local list = table.concat(names)
  local generation = (shared:get("generation") or 0) + 1
  local ok = shared:safe_set("change/" .. generation, #list .. ":" .. list .. "]")
  if not ok then shared:delete("change/" .. generation) end
  shared:delete("change/" .. (generation - HISTORY))
  shared:set("generation", generation)
  return generation
end

-- Fills empty shared memory from the file that the controller keeps: batches, one after the other.
function _M.load(path)
  if shared:get("generation") then return end
  local file = io.open(path, "rb")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  local at = 1
  while at <= #text do
    -- The last batch may be cut off, where its writer was.
    local ok, batch, after = pcall(encoding.value, text, at)
    if not ok then break end
    for _, change in ipairs(batch) do put(change[1], change[2]) end
    at = after
  end
  shared:set("generation", 1)
end

return _M
