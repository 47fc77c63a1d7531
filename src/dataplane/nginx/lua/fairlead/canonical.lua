-- The one form of hosts and paths that is matched and forwarded; the same as in the routing room (host.ts, path.ts).
local ngx_find = ngx.re.find
local byte, sub, lower, gsub, find, match = string.byte, string.sub, string.lower, string.gsub, string.find, string.match
local char, format, upper, tonumber = string.char, string.format, string.upper, tonumber

local _M = {}

local PLAIN_PATH = [[^(?:/(?:[\w~!$&'()*+,\-:=@\[\]^|][\w~!$&'()*+,\-.:=@\[\]^|]*)?)+\z]]
local HOST = [[^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*\z]]
local BRACKETED = [[^\[[0-9a-f:.]+\]\z]]

-- Lower case, without port and without a dot at its end; nil for what is no host name.
function _M.host(authority)
  if authority == "" then return "" end
  local host = lower(authority)
  if byte(host, -1) ~= 93 then
    local colon = find(host, ":%d*$")
    if colon and #host - colon <= 5 then host = sub(host, 1, colon - 1) end
  end
  if byte(host, -1) == 46 then host = sub(host, 1, -2) end
  if #host > 253 then return nil end
  if ngx_find(host, HOST, "jo") or ngx_find(host, BRACKETED, "jo") then return host end
  return nil
end

local function hidden(segment)
  if not find(segment, "[%%;]") then return false end
  for part in (gsub(gsub(segment, "%%2F", "/"), "%%5C", "/") .. "/"):gmatch("([^/]*)/") do
    if part == "." or part == ".." or find(part, "^%.%.?;") then return true end
  end
  return false
end

local function without_dot_segments(path)
  local kept, n = {}, 0
  local at = 2
  while true do
    local slash = find(path, "/", at, true)
    local segment = sub(path, at, slash and slash - 1 or -1)
    if segment == "." or segment == ".." then
      if segment == ".." and n > 0 then n = n - 1 end
      if not slash then
        n = n + 1
        kept[n] = ""
      end
    else
      if hidden(segment) then return nil end
      n = n + 1
      kept[n] = segment
    end
    if not slash then break end
    at = slash + 1
  end
  return "/" .. table.concat(kept, "/", 1, n)
end

-- The canonical path, or nil when it cannot be given one meaning.
function _M.path(path)
  if ngx_find(path, PLAIN_PATH, "jo") then return path end
  if byte(path) ~= 47 then return nil end
  local out, n, at = {}, 0, 1
  while at <= #path do
    local code = byte(path, at)
    n = n + 1
    if code == 37 then
      local digits = match(path, "^%x%x", at + 1)
      if not digits then return nil end
      local decoded = tonumber(digits, 16)
      if decoded < 0x20 or decoded == 0x7f then return nil end
      local letter = char(decoded)
      out[n] = (decoded < 0x80 and find(letter, "^[%w%-._~]")) and letter or "%" .. upper(digits)
      at = at + 3
    elseif code <= 0x20 or code == 0x7f or code == 0x5c or code == 0x23 then
      return nil
    else
      out[n] = code < 0x80 and char(code) or format("%%%02X", code)
      at = at + 1
    end
  end
  return without_dot_segments(table.concat(out))
end

return _M
