-- Answers of the proxy itself: short, plain text, and nothing about what is behind it.
local _M = {}

local names = {
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed", [408] = "Request Timeout", [429] = "Too Many Requests",
  [413] = "Payload Too Large", [414] = "URI Too Long", [421] = "Misdirected Request", [500] = "Internal Server Error",
  [502] = "Bad Gateway", [503] = "Service Unavailable", [504] = "Gateway Timeout", [431] = "Request Header Fields Too Large",
}
local texts = {
  [400] = "Bad request.",
  [403] = "This client is not allowed here.",
  [404] = "No route matches this host and path.",
  [405] = "This method is not allowed here.",
  [413] = "The request body is too large.",
  [421] = "This connection was made for another host.",
  [500] = "The route for this host and path cannot be served as it is written.",
  [502] = "The endpoint did not answer.",
  [503] = "No endpoint is ready to take this request.",
  [504] = "The endpoint did not answer in time.",
}

-- Gives the answer that was decided on: an error by its page, or all of it.
function _M.begin()
  local own = ngx.ctx.answer
  if not own then return ngx.exit(500) end
  local status = own.status
  local plain = status >= 400
  if plain and not own.fields then return ngx.exit(status) end
  local header = ngx.header
  ngx.status = status
  for _, field in ipairs(own.fields or {}) do header[field[1]] = field[2] end
  header["cache-control"] = "no-store"
  header["x-content-type-options"] = "nosniff"
  header["x-request-id"] = ngx.var.fl_request_id
  local body = status ~= 204 and (own.text or texts[status] or "") or ""
  if status ~= 204 then
    header["content-type"] = "text/plain; charset=utf-8"
    header["content-length"] = #body
  end
  if status == 503 then header["retry-after"] = "1" end
  ngx.print(body)
  return ngx.exit(ngx.HTTP_OK)
end

-- The page of an error.
function _M.send()
  local status = ngx.status
  -- nginx's own: a header too large, plain HTTP on a port for TLS.
  if status == 494 then status = 431 end
  if status >= 495 and status <= 497 then status = 400 end
  if status == 501 or status == 505 then names[status] = names[status] or "Not Implemented" end
  ngx.status = status
  local id = ngx.var.fl_request_id
  local body = status .. " " .. (names[status] or "Error") .. "\n" .. (texts[status] or "The request failed.")
    .. "\nRequest " .. id .. "\n"
  local header = ngx.header
  header["content-type"] = "text/plain; charset=utf-8"
  header["content-length"] = #body
  header["x-content-type-options"] = "nosniff"
  header["cache-control"] = "no-store"
  header["x-request-id"] = id
  if status == 503 then header["retry-after"] = "1" end
  ngx.print(body)
end

return _M
