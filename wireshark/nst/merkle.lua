-- SPDX-License-Identifier: GPL-2.0-or-later
-- A hash function, and HMAC (RFC 2104), from a compression function: what SHA-256 and
-- SM3 have in common (blocks of 64 bytes, eight words of state, the same padding).

local use = ...
if not use then return end

local bits = use("bits")
local M = {}

local BLOCK = 64
local char, concat = string.char, table.concat

-- The 16 words of a block of data.
local function words(data, at)
  local w, n = {}, 0
  for i = at, at + 48, 16 do
    local a, b, c, d, e, f, g, h, j, k, l, m, o, p, q, r = data:byte(i, i + 15)
    w[n + 1], w[n + 2] = ((a * 256 + b) * 256 + c) * 256 + d, ((e * 256 + f) * 256 + g) * 256 + h
    w[n + 3], w[n + 4] = ((j * 256 + k) * 256 + l) * 256 + m, ((o * 256 + p) * 256 + q) * 256 + r
    n = n + 4
  end
  return w
end

local function padding(length)
  local bits_low, bits_high = length * 8 % 4294967296, math.floor(length / 536870912)
  return "\128" .. ("\0"):rep((55 - length) % BLOCK) .. bits.bytes(bits_high) .. bits.bytes(bits_low)
end

local function xored(key, value)
  local out = {}
  for i = 1, BLOCK do out[i] = char(bits.xor(key:byte(i) or 0, value)) end
  return concat(out)
end

-- compress(state, words) returns the next state.
function M.new(compress, initial)
  local H = {}

  -- The rest of a hash, when state has taken in before bytes (whole blocks).
  local function finish(state, before, data)
    data = data .. padding(before + #data)
    for at = 1, #data, BLOCK do state = compress(state, words(data, at)) end
    local out = {}
    for i = 1, 8 do out[i] = bits.bytes(state[i]) end
    return concat(out)
  end

  -- The 32-byte hash of data.
  function H.hash(data)
    return finish(initial, 0, data)
  end

  -- A function from data to its 32-byte HMAC under key. The pads are hashed once.
  function H.hmac(key)
    if #key > BLOCK then key = H.hash(key) end
    local inner = compress(initial, words(xored(key, 0x36), 1))
    local outer = compress(initial, words(xored(key, 0x5c), 1))
    return function(data)
      return finish(outer, BLOCK, finish(inner, BLOCK, data))
    end
  end

  return H
end

return M
