-- SPDX-License-Identifier: GPL-2.0-or-later
-- Times in nanoseconds since 1970, exact although Lua 5.2 has only doubles: as seconds
-- and nanoseconds, { s = , ns = }.

local use = ...
if not use then return end

local M = {}

local floor = math.floor
local NS = 1000000000

-- From the eight big-endian bytes of a u64.
function M.from_bytes(a, b, c, d, e, f, g, h)
  -- Long division by 10^9: 32 bits, then 16 a step; no step passes 2^46.
  local rest = ((a * 256 + b) * 256 + c) * 256 + d
  local high = floor(rest / NS)
  rest = (rest - high * NS) * 65536 + e * 256 + f
  local middle = floor(rest / NS)
  rest = (rest - middle * NS) * 65536 + g * 256 + h
  local low = floor(rest / NS)
  return { s = (high * 65536 + middle) * 65536 + low, ns = rest - low * NS }
end

-- a - b as { s = , ns = }, both of the same sign.
function M.difference(a, b)
  local s, ns = a.s - b.s, a.ns - b.ns
  if s > 0 and ns < 0 then
    s, ns = s - 1, ns + NS
  elseif s < 0 and ns > 0 then
    s, ns = s + 1, ns - NS
  end
  return { s = s, ns = ns }
end

-- Whether a and b are more than window apart.
function M.apart(a, b, window)
  local d = M.difference(a, b)
  local s, ns = math.abs(d.s), math.abs(d.ns)
  return s > window.s or (s == window.s and ns > window.ns)
end

-- Whether a is earlier than b.
function M.before(a, b)
  return a.s < b.s or (a.s == b.s and a.ns < b.ns)
end

-- a less window; may be before 1970.
function M.minus(a, window)
  local s, ns = a.s - window.s, a.ns - window.ns
  if ns < 0 then s, ns = s - 1, ns + NS end
  return { s = s, ns = ns }
end

-- Of a window in milliseconds.
function M.from_ms(ms)
  return { s = floor(ms / 1000), ns = ms % 1000 * 1000000 }
end

return M
