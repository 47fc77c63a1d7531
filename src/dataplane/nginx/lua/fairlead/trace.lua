-- The place of each request in a trace, as tracing/trace-context.ts says it (W3C Trace Context level 2): `fl_traceparent` is what an
-- endpoint gets, `fl_parent` the span that the client has told of.
local variable = require "fairlead.var"
local tohex = require("bit").tohex
local get, set = variable.get, variable.set
local byte, find, match, random, sub = string.byte, string.find, string.match, math.random, string.sub

local _M = { on = false, only = false }

local WORD = 0xffffffff
local NO_TRACE, NO_SPAN = ("0"):rep(32), ("0"):rep(16)
local SHAPE = "^(%x%x)%-(" .. ("%x"):rep(32) .. ")%-(" .. ("%x"):rep(16) .. ")%-%x(%x)(.*)$"

-- Share of the traces that begin here of which spans are recorded.
local sample = 0

-- In each worker, when it starts. `only`: requests are told of only when their span is recorded.
function _M.setup(share, only)
  sample = share
  _M.on, _M.only = true, only
end

-- Trace, span and last digit of the flags that a client has sent.
local function said(request)
  local value = get(request, "http_traceparent")
  if not value then return nil end
  local version, trace, span, flags, more = match(value, SHAPE)
  if not version or find(sub(value, 1, 55), "%u") then return nil end
  if version == "ff" or more ~= "" and (version == "00" or byte(more) ~= 45) then return nil end
  if trace == NO_TRACE or span == NO_SPAN then return nil end
  -- Of a field that comes twice the variable may have the first only.
  if type(ngx.req.get_headers(0)["traceparent"]) == "table" then return nil end
  return trace, span, tonumber(flags, 16)
end

-- Random words are dear. Of a trace's id the last 14 digits must be random (level 2, section 3.2.2.3), and the rest is of this request alone:
-- part of its `fl_id`. A span's id needs to differ from others of its trace only: a word of this worker, and one that changes.
local function random_half()
  local first = tohex(random(0, WORD))
  return first .. tohex(random(1, WORD))
end

local own_word
local function span_id(id)
  own_word = own_word or tohex(random(1, WORD))
  return own_word .. sub(id, -8)
end

local function joined(name)
  local value = ngx.req.get_headers(0)[name]
  return type(value) == "table" and table.concat(value, ", ") or value
end

-- `alone`: what the client says counts for nothing.
local function place(request, id, alone)
  local trace, parent, flags
  if alone then set(request, "fl_parent", "") else trace, parent, flags = said(request) end
  if trace then
    set(request, "fl_parent", parent)
    -- Sampled, and random: no other flag is passed on.
    flags = flags % 4
  else
    trace = sub(id, -16) .. random_half()
    flags = random() < sample and 3 or 2
    -- What vendors say of a trace is meant for that trace only.
    if get(request, "http_tracestate") then
      set(request, "fl_tracestate", joined("tracestate"))
      ngx.req.clear_header("tracestate")
    end
  end
  set(request, "fl_traceparent", "00-" .. trace .. "-" .. span_id(id) .. "-0" .. flags)
end

-- Once for each request, before anything is decided on it. `id`: its `fl_id`.
function _M.begin(request, id)
  return place(request, id, false)
end

-- A route for which no client's word counts.
function _M.restart()
  local request = variable.request()
  if _M.on and get(request, "fl_parent") ~= "" then place(request, get(request, "fl_id"), true) end
end

-- A route that is not traced: what the client says is passed on as it is.
function _M.leave()
  if not _M.on then return end
  local request = variable.request()
  set(request, "fl_traceparent", joined("traceparent") or "")
  set(request, "fl_parent", "-")
  local state = get(request, "fl_tracestate")
  if state and state ~= "" then ngx.req.set_header("tracestate", state) end
end

-- Whether the span of a request is recorded, by its `fl_traceparent`.
function _M.is_sampled(request)
  if get(request, "fl_parent") == "-" then return false end
  local last = byte(get(request, "fl_traceparent") or "", -1)
  return last == 49 or last == 51
end

return _M
