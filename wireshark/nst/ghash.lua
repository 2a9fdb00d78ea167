-- SPDX-License-Identifier: GPL-2.0-or-later
-- GHASH (NIST SP 800-38D, 6.4) in plain Lua.
--
-- Multiplication by H is linear, so it is a sum of table entries, one for each piece of
-- the other factor: for each nibble at first (512 entries, soon made), and once a key
-- has been used enough to be worth it, for each byte (4096 entries).

local use = ...
if not use then return end

local bits = use("bits")
local M = {}

local format, concat = string.format, table.concat
local word = bits.word

local WORTH_IT = 256 -- blocks

-- H times x^0..x^127, as four lists of words (x^0 is the highest bit of the first word).
local powers = bits.compile([[
return function(h0, h1, h2, h3)
  local p0, p1, p2, p3 = {}, {}, {}, {}
  for i = 0, 127 do
    p0[i], p1[i], p2[i], p3[i] = h0, h1, h2, h3
    local low = h3 % 2
    h3 = (h3 - low) / 2 + h2 % 2 * 2147483648
    h2 = (h2 - h2 % 2) / 2 + h1 % 2 * 2147483648
    h1 = (h1 - h1 % 2) / 2 + h0 % 2 * 2147483648
    h0 = (h0 - h0 % 2) / 2
    if low == 1 then h0 = XOR(h0, 3774873600) end
  end
  return p0, p1, p2, p3
end]], "ghash.powers")

-- Tables for each piece of so many bits, piece after piece: word w of the product of
-- value v at piece i is tables[4 * i + w][v].
local make_tables = bits.compile([[
return function(size, p0, p1, p2, p3)
  local tables = {}
  for i = 0, 128 / size - 1 do
    local t0, t1, t2, t3 = { [0] = 0 }, { [0] = 0 }, { [0] = 0 }, { [0] = 0 }
    local unit = 1
    for bit = size - 1, 0, -1 do
      local at = i * size + bit
      local a0, a1, a2, a3 = p0[at], p1[at], p2[at], p3[at]
      t0[unit], t1[unit], t2[unit], t3[unit] = a0, a1, a2, a3
      for v = 1, unit - 1 do
        t0[unit + v], t1[unit + v] = XOR(t0[v], a0), XOR(t1[v], a1)
        t2[unit + v], t3[unit + v] = XOR(t2[v], a2), XOR(t3[v], a3)
      end
      unit = unit * 2
    end
    local n = #tables
    tables[n + 1], tables[n + 2], tables[n + 3], tables[n + 4] = t0, t1, t2, t3
  end
  return tables
end]], "ghash.tables")

local WORDS = [[
  local d0,d1,d2,d3,d4,d5,d6,d7,d8,d9,d10,d11,d12,d13,d14,d15 = byte(data, at, at + 15)
  y0 = XOR(y0, d0*16777216+d1*65536+d2*256+d3)
  y1 = XOR(y1, d4*16777216+d5*65536+d6*256+d7)
  y2 = XOR(y2, d8*16777216+d9*65536+d10*256+d11)
  y3 = XOR(y3, d12*16777216+d13*65536+d14*256+d15)
  SPLIT(y0, b0, b1, b2, b3);
  SPLIT(y1, b4, b5, b6, b7);
  SPLIT(y2, b8, b9, b10, b11);
  SPLIT(y3, b12, b13, b14, b15);
]]

-- Names a0, a1, ... as one list.
local function names(prefix, last)
  local list = {}
  for i = 0, last do list[#list + 1] = prefix .. i end
  return concat(list, ",")
end

-- Four assignments to y0..y3, each the sum of the look-ups in terms(w), w = 0..3.
local function sums(terms)
  local lines = {}
  for w = 0, 3 do lines[#lines + 1] = format("y%d = XOR(%s)\n", w, concat(terms(w), ", ")) end
  return concat(lines)
end

-- The source of a function that adds the whole blocks in data to the hash y.
local function loop(head, extra, look_ups)
  return concat {
    "local byte, unpack = string.byte, table.unpack\n",
    "return function(t, y0, y1, y2, y3, data)\n", head,
    "local ", names("b", 15), "\n",
    "for at = 1, #data, 16 do\n", WORDS, extra, sums(look_ups),
    "end\nreturn y0, y1, y2, y3\nend",
  }
end

local function nibbles()
  local lines = { "local " .. names("n", 31) .. "\n" }
  for i = 0, 15 do
    lines[#lines + 1] = format("n%d = b%d %% 16 n%d = (b%d - n%d) / 16\n",
      2 * i + 1, i, 2 * i, i, 2 * i + 1)
  end
  return concat(lines)
end

local by_nibbles = bits.compile(loop("", nibbles(), function(w)
  local terms = {}
  for i = 0, 31 do terms[i + 1] = format("t[%d][n%d]", 4 * i + w + 1, i) end
  return terms
end), "ghash.nibbles")

-- All 64 tables are in locals.
local by_bytes = bits.compile(loop("local " .. names("t", 63) .. " = unpack(t)\n", "",
  function(w)
    local terms = {}
    for i = 0, 15 do terms[i + 1] = format("t%d[b%d]", 4 * i + w, i) end
    return terms
  end), "ghash.bytes")

local Hash = {}
Hash.__index = Hash

-- GHASH under H, four words.
function M.new(h0, h1, h2, h3)
  return setmetatable({ powers = { powers(h0, h1, h2, h3) }, blocks = 0 }, Hash)
end

-- The hash of whole blocks of data.
local function hash(self, data)
  local p = self.powers
  if not self.bytes then
    self.blocks = self.blocks + #data / 16
    if self.blocks <= WORTH_IT then
      if not self.nibbles then self.nibbles = make_tables(4, p[1], p[2], p[3], p[4]) end
      return by_nibbles(self.nibbles, 0, 0, 0, 0, data)
    end
    self.bytes, self.nibbles = make_tables(8, p[1], p[2], p[3], p[4]), nil
  end
  return by_bytes(self.bytes, 0, 0, 0, 0, data)
end

local function pad(data)
  return #data % 16 == 0 and data or data .. ("\0"):rep(-#data % 16)
end

-- The hash of auth and body as GCM has it, four words.
function Hash:gcm(auth, body)
  local lengths = "\0\0\0\0" .. bits.bytes(#auth * 8) .. "\0\0\0\0" .. bits.bytes(#body * 8)
  return hash(self, pad(auth) .. pad(body) .. lengths)
end

-- The block, as four words, times H; few bits of it should be set.
function Hash:times(a0, a1, a2, a3)
  local p = self.powers
  local z = { 0, 0, 0, 0 }
  for i, w in ipairs { a0, a1, a2, a3 } do
    local bit = 32 * i - 1
    while w > 0 do
      if w % 2 == 1 then
        for k = 1, 4 do z[k] = bits.xor(z[k], p[k][bit]) end
      end
      w, bit = (w - w % 2) / 2, bit - 1
    end
  end
  return z[1], z[2], z[3], z[4]
end

return M
