-- `ngx.var` for code that reads many variables of one request. Where LuaJIT does not have OpenResty's changes (Debian's),
-- each use of `ngx.var` looks for its request in a way that no trace goes through; here that is done once, and the rest
-- compiles. The declarations are lua-resty-core's own: one that differs is an error at the first request, not a crash.
local base = require "resty.core.base"
local ffi = require "ffi"

local _M = {}

local C, text = ffi.C, ffi.string
local get_request, get_string_buf, get_size_ptr = base.get_request, base.get_string_buf, base.get_size_ptr
local value_ptr = ffi.new("unsigned char *[1]")
local ERROR_SIZE = 256
local errmsg = base.get_errmsg_ptr()

-- The request that is being worked on. For `get`, in the same phase only.
_M.request = get_request

-- The value of a variable, or nil.
function _M.get(request, name)
  local length = get_size_ptr()
  local size = #name
  local rc = C.ngx_http_lua_ffi_var_get(request, name, size, get_string_buf(size), 0, value_ptr, length, errmsg)
  if rc == 0 then return text(value_ptr[0], length[0]) end
  return nil
end

-- Gives a variable of the configuration a value.
function _M.set(request, name, value)
  local length = get_size_ptr()
  length[0] = ERROR_SIZE
  local size = #name
  local buffer = get_string_buf(size + ERROR_SIZE)
  local rc = C.ngx_http_lua_ffi_var_set(request, name, size, buffer, value, #value, buffer + size, length)
  if rc ~= 0 then error(text(buffer + size, length[0])) end
end

return _M
