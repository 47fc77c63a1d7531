-- The controller's way in, on a Unix socket in a folder that only it can enter.
local rows = require "fairlead.rows"
local encoding = require "fairlead.encoding"

local _M = {}

-- POST: a batch of rows. Answers the generation from which all workers follow.
function _M.rows()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if not body then
    ngx.status = 413
    return ngx.say("the batch does not fit in memory")
  end
  local ok, batch = pcall(encoding.decode, body)
  if not ok then
    ngx.status = 400
    return ngx.say("the batch is malformed")
  end
  local generation, err, name = rows.apply(batch)
  if not generation then
    ngx.status = 507
    return ngx.say(err, " at ", name)
  end
  ngx.say(generation)
end

return _M
