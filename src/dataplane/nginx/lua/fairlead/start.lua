-- Once in the master, before there are workers.
local _M = {}

function _M.init(path)
  require "resty.core"
  require("fairlead.rows").load(path)
  for _, name in ipairs { "request", "full", "answer", "certificate", "control" } do require("fairlead." .. name) end
end

function _M.worker()
  math.randomseed(ngx.now() * 1000 + ngx.worker.pid() * 7919)
end

return _M
