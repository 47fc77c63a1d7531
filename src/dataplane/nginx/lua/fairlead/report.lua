-- A line for each request that is done, told to the controller. Lines are gathered and sent together, outside of any request; a
-- controller that does not read loses them, and nobody waits for it.
local variable = require "fairlead.var"
local trace = require "fairlead.trace"
local get = variable.get
local find, gsub, sub, concat = string.find, string.gsub, string.sub, table.concat

local _M = { on = false }

-- Seconds between two sendings, and lines that wait for one at most.
local PAUSE, MOST = 0.1, 20000
local SEPARATOR = "\31"

local path
local lines, count, lost = {}, 0, 0
local sending = false

-- What is told, in the order of reports.ts, and how many bytes of it.
local told = {
  { "fl_request_id", 128 }, { "remote_addr", 64 }, { "request_method", 32 }, { "http_host", 512 }, { "request_uri", 8192 },
  { "server_protocol", 16 }, { "status", 8 }, { "body_bytes_sent", 24 }, { "request_time", 24 }, { "fl_route", 4096 },
  { "fl_pool", 1024 }, { "upstream_addr", 1024 }, { "http_user_agent", 512 }, { "http_referer", 512 }, { "http_traceparent", 64 },
}
-- And where requests are traced.
local traced = { { "http_tracestate", 1024 }, { "fl_traceparent", 64 }, { "fl_parent", 16 }, { "scheme", 8 }, { "msec", 24 } }

local function send()
  while count > 0 do
    local text = concat(lines, "\n", 1, count) .. "\n" .. (lost > 0 and "lost" .. SEPARATOR .. lost .. "\n" or "")
    local gone = count + lost
    lines, count, lost = {}, 0, 0
    local socket = ngx.socket.tcp()
    socket:settimeouts(1000, 5000, 1000)
    local ok = socket:connect("unix:" .. path)
    if ok then ok = socket:send(text) end
    if not ok then
      socket:close()
      lost = lost + gone
      return
    end
    socket:setkeepalive(60000, 1)
  end
end

local function flush()
  if sending or count == 0 then return end
  sending = true
  local ok, err = pcall(send)
  sending = false
  if not ok then ngx.log(ngx.ERR, "requests are not told of: ", err) end
end

local function tick(premature)
  -- A worker that ends still has requests, and may still send.
  if premature then ngx.timer.at(0, function() flush() end) return end
  flush()
end

-- In each worker, when it starts.
function _M.begin(to)
  path = to
  _M.on = true
  if trace.on then
    for i = 1, #traced do told[#told + 1] = traced[i] end
  end
  ngx.timer.every(PAUSE, tick)
end

-- In the log phase of each request.
function _M.note()
  if trace.only and not trace.is_sampled(variable.request()) then return end
  if count >= MOST then
    lost = lost + 1
    return
  end
  local request = variable.request()
  local values = {}
  for i = 1, #told do
    local one = told[i]
    local value = get(request, one[1]) or ""
    -- A pool without endpoints is not sent to, but meant.
    if i == 11 and value == "" then value = get(request, "fl_meant") or "" end
    if #value > one[2] then value = sub(value, 1, one[2]) end
    -- A listener's name and a pool's key have lines of their own behind them.
    if find(value, "%c") then value = gsub(i == 11 and gsub(value, "\n.*", "") or value, "%c", "?") end
    values[i] = value
  end
  count = count + 1
  lines[count] = concat(values, SEPARATOR)
  if ngx.worker.exiting() then ngx.timer.at(0, function() flush() end) end
end

return _M
