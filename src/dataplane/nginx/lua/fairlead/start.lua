-- Once in the master, before there are workers.
local _M = {}

function _M.init(path)
  require "resty.core"
  require("fairlead.rows").load(path)
  for _, name in ipairs { "request", "full", "answer", "authorize", "certificate", "control", "trace", "report" } do require("fairlead." .. name) end
end

function _M.worker(reports, sample, only)
  if sample then require("fairlead.trace").setup(sample, only) end
  if reports then require("fairlead.report").begin(reports) end
  local seed = ngx.now() * 1000 + ngx.worker.pid() * 7919
  -- Ids of requests must differ between all workers of all hosts.
  local file = io.open("/dev/urandom", "rb")
  if file then
    file:setvbuf("no")
    for _, byte in ipairs { (file:read(6) or ""):byte(1, -1) } do seed = seed * 256 % 2 ^ 45 + byte end
    file:close()
  end
  math.randomseed(seed)
end

return _M
