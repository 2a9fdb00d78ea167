-- SPDX-License-Identifier: GPL-2.0-or-later
-- GHASH (NIST SP 800-38D, 6.4) in plain Lua.
--
-- Multiplication by H is linear, so it is a sum of table entries, one for each piece of
-- the other factor: for each nibble at first (512 entries, soon made), and once a key
-- has been used enough to be worth it, for each byte (4096 entries, and as many for H squared).

local use = ...
if not use then return end

local bits = use("bits")
local M = {}

local format, concat = string.format, table.concat
local word = bits.word

local WORTH_IT = 256 -- blocks
local ZEROS = ("\0"):rep(16)

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

-- Names such as b0, b1, ... as one list.
local function names(prefix, first, last)
  local list = {}
  for i = first, last do list[#list + 1] = prefix .. i end
  return concat(list, ",")
end

-- Word w of a block whose bytes are d0 to d15.
local function word_of(w)
  return ("d%d*16777216+d%d*65536+d%d*256+d%d"):format(4 * w, 4 * w + 1, 4 * w + 2, 4 * w + 3)
end

-- The source of a function that gives the hash of the whole blocks in data, *blocks* of
-- them at a time: b0 to b15 are the bytes of the hash so far plus the first, b16 to b31 those
-- of the second. terms(w) lists what word w of their products is the sum of. A call of XOR
-- costs several times what one more operand does, so the next block is added there, too.
local function loop(head, blocks, extra, terms)
  local ahead = names("d", 0, 15)
  local step = 16 * blocks
  local source = {
    "local byte, unpack = string.byte, table.unpack\n",
    "return function(t, u, data)\n", head,
    "local ", ahead, " = byte(data, 1, 16)\n",
  }
  local function add(...) source[#source + 1] = format(...) end
  for w = 0, 3 do add("local y%d = %s\n", w, word_of(w)) end
  add("data = data .. ('\\0'):rep(16)\n")
  add("for at = 1, #data - 16, %d do\n", step)
  add("local %s\n", names("b", 0, 15))
  for w = 0, 3 do add("SPLIT(y%d, %s);\n", w, names("b", 4 * w, 4 * w + 3)) end
  if blocks > 1 then
    add("local %s = byte(data, at + 16, at + %d)\n", names("b", 16, step - 1), step - 1)
  end
  add("%s", extra)
  add("%s = byte(data, at + %d, at + %d)\n", ahead, step, step + 15)
  for w = 0, 3 do add("y%d = XOR(%s, %s)\n", w, concat(terms(w), ", "), word_of(w)) end
  add("end\nreturn y0, y1, y2, y3\nend")
  return concat(source)
end

local function nibbles()
  local lines = { "local " .. names("n", 0, 31) .. "\n" }
  for i = 0, 15 do
    lines[#lines + 1] = format("n%d = b%d %% 16 n%d = (b%d - n%d) / 16\n",
      2 * i + 1, i, 2 * i, i, 2 * i + 1)
  end
  return concat(lines)
end

local by_nibbles = bits.compile(loop("", 1, nibbles(), function(w)
  local terms = {}
  for i = 0, 31 do terms[i + 1] = format("t[%d][n%d]", 4 * i + w + 1, i) end
  return terms
end), "ghash.nibbles")

-- Two blocks at a time, the first times the square of H: the second need not wait for it, nor
-- be taken apart. All 128 tables are in locals.
local HEAD = "local " .. names("t", 0, 63) .. " = unpack(t)\n"
  .. "local " .. names("u", 0, 63) .. " = unpack(u)\n"
local by_bytes = bits.compile(loop(HEAD, 2, "", function(w)
  local terms = {}
  for i = 0, 15 do
    terms[i + 1] = format("t%d[b%d]", 4 * i + w, i)
    terms[i + 17] = format("u%d[b%d]", 4 * i + w, i + 16)
  end
  return terms
end), "ghash.bytes")

local Hash = {}
Hash.__index = Hash

-- GHASH under H, four words.
function M.new(h0, h1, h2, h3)
  return setmetatable({ powers = { powers(h0, h1, h2, h3) }, blocks = 0 }, Hash)
end

-- The hash of whole blocks of data, at least one.
local function hash(self, data)
  local p = self.powers
  if not self.bytes then
    self.blocks = self.blocks + #data / 16
    if self.blocks <= WORTH_IT then
      if not self.nibbles then self.nibbles = make_tables(4, p[1], p[2], p[3], p[4]) end
      return by_nibbles(self.nibbles, nil, data)
    end
    local s = { powers(self:times(p[1][0], p[2][0], p[3][0], p[4][0])) }
    self.squares = make_tables(8, s[1], s[2], s[3], s[4])
    self.bytes, self.nibbles = make_tables(8, p[1], p[2], p[3], p[4]), nil
  end
  if #data % 32 ~= 0 then data = ZEROS .. data end -- in front it changes nothing
  return by_bytes(self.squares, self.bytes, data)
end

local function pad(data)
  return #data % 16 == 0 and data or data .. ("\0"):rep(-#data % 16)
end

-- The hash of auth and body as GCM has it, four words.
function Hash:gcm(auth, body)
  local lengths = "\0\0\0\0" .. bits.bytes(#auth * 8) .. "\0\0\0\0" .. bits.bytes(#body * 8)
  return hash(self, pad(auth) .. pad(body) .. lengths)
end

-- The block, as four words, times H; the fewer bits of it are set the faster.
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
