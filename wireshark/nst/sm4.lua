-- SPDX-License-Identifier: GPL-2.0-or-later
-- SM4 (GB/T 32907-2016) in plain Lua: one block, CTR and CBC decryption.
--
-- The round function maps a word through the S-box and a linear step. Two tables of
-- 65536 words, one for each half of the word, hold both; they are made on first use.

local use = ...
if not use then return end

local bits = use("bits")
local M = {}

local format, concat = string.format, table.concat

local SBOX = (
  "d690e9fecce13db716b614c228fb2c052b679a762abe04c3aa44132649860699"
  .. "9c4250f491ef987a33540b43edcfac62e4b31ca9c908e89580df94fa758f3fa6"
  .. "4707a7fcf37317ba83593c19e6854fa8686b81b27164da8bf8eb0f4b70569d35"
  .. "1e240e5e6358d1a225227c3b01217887d40046579fd327524c3602e7a0c4c89e"
  .. "eabf8ad240c738b5a3f7f2cef96115a1e0ae5da49b341a55ad933230f58cb1e3"
  .. "1df6e22e8266ca60c02923ab0d534e6fd5db3745defd8e2f03ff6a726d6c5b51"
  .. "8d1baf92bbddbc7f11d95c411f105ad80ac13188a5cd7bbd2d74d012b8e5b4b0"
  .. "8969974a0c96777e65b9f109c56ec68418f07dec3adc4d2079ee5f3ed7cb3948"
):gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)

-- (S, length) -> high, low: the two tables of the round function.
local make_tables = bits.compile([[
local byte = string.byte
return function(sbox)
  local first, second = {}, {}
  for v = 0, 255 do
    local s = byte(sbox, v + 1)
    local w = XOR(s, ROL(s, 2), ROL(s, 10), ROL(s, 18), ROL(s, 24))
    first[v], second[v] = w, MOD(ROL(w, 8))
  end
  local high, low = {}, {}
  for a = 0, 255 do
    local x, base = second[a], a * 256
    local y = ROL(x, 16)
    for b = 0, 255 do
      low[base + b] = XOR(x, first[b])
      high[base + b] = XOR(y, ROL(first[b], 16))
    end
  end
  return high, low
end]], "sm4.tables")

local key_step = bits.compile([[
local byte = string.byte
return function(sbox, x)
  local a, b, c, d
  SPLIT(x, a, b, c, d);
  local s = byte(sbox, a + 1) * 16777216 + byte(sbox, b + 1) * 65536
    + byte(sbox, c + 1) * 256 + byte(sbox, d + 1)
  return XOR(s, ROL(s, 13), ROL(s, 23))
end]], "sm4.key")

local FK = { 0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc }
local xor = bits.xor

local function expand(key)
  local k, rk = {}, {}
  for i = 0, 3 do k[i] = xor(bits.word(key, 4 * i + 1), FK[i + 1]) end
  for i = 0, 31 do
    local constant = 0
    for j = 0, 3 do constant = constant * 256 + (4 * i + j) * 7 % 256 end
    k[i + 4] = xor(k[i], key_step(SBOX, xor(xor(k[i + 1], k[i + 2]), xor(k[i + 3], constant))))
    rk[i] = k[i + 4]
  end
  return rk
end

local function reversed(rk)
  local out = {}
  for i = 0, 31 do out[i] = rk[31 - i] end
  return out
end

-- The 32 rounds, from w0..w3 to w0..w3; the result is w3, w2, w1, w0.
local function rounds()
  local lines = {}
  for i = 0, 31 do
    local a, b, c, d = i % 4, (i + 1) % 4, (i + 2) % 4, (i + 3) % 4
    lines[#lines + 1] = format("x = XOR(w%d, w%d, w%d, k%d)\nHALVES(x, h, l);\n", b, c, d, i)
    lines[#lines + 1] = format("w%d = XOR(w%d, H[h], L[l])\n", a, a)
  end
  return concat(lines)
end

local KEYS
do
  local names, values = {}, {}
  for i = 0, 31 do names[i + 1], values[i + 1] = "k" .. i, "k[" .. i .. "]" end
  KEYS = "local " .. concat(names, ",") .. " = " .. concat(values, ",") .. "\nlocal x, h, l\n"
end

local DATA = [[
local d0,d1,d2,d3,d4,d5,d6,d7,d8,d9,d10,d11,d12,d13,d14,d15 = byte(data, at, at + 15)
local e0, e1 = d0*16777216+d1*65536+d2*256+d3, d4*16777216+d5*65536+d6*256+d7
local e2, e3 = d8*16777216+d9*65536+d10*256+d11, d12*16777216+d13*65536+d14*256+d15
]]

-- w3, w2, w1, w0 XORed with the four words named, and added to out as bytes.
local function output(a, b, c, d)
  return format([[
w3, w2, w1, w0 = XOR(w3, %s), XOR(w2, %s), XOR(w1, %s), XOR(w0, %s)
local p0,p1,p2,p3,p4,p5,p6,p7,p8,p9,p10,p11,p12,p13,p14,p15
SPLIT(w3, p0, p1, p2, p3);
SPLIT(w2, p4, p5, p6, p7);
SPLIT(w1, p8, p9, p10, p11);
SPLIT(w0, p12, p13, p14, p15);
n = n + 1
out[n] = char(p0,p1,p2,p3,p4,p5,p6,p7,p8,p9,p10,p11,p12,p13,p14,p15)
]], a, b, c, d)
end

local functions

-- encrypt(k, w0..w3), ctr(k, i0, i1, i2, counter, data), cbc(k, v0..v3, data).
local function make_functions()
  return bits.compile(concat {
    "local H, L = ...\nlocal char, byte, concat = string.char, string.byte, table.concat\n",
    "local function encrypt(k, w0, w1, w2, w3)\n", KEYS, rounds(),
    "return w3, w2, w1, w0\nend\n",
    "local function ctr(k, i0, i1, i2, counter, data)\n", KEYS,
    "local n, out = 0, {}\nfor at = 1, #data, 16 do\n", DATA,
    "local w0, w1, w2, w3 = i0, i1, i2, counter\n", rounds(), output("e0", "e1", "e2", "e3"),
    "counter = counter + 1\nend\nreturn concat(out)\nend\n",
    "local function cbc(k, v0, v1, v2, v3, data)\n", KEYS,
    "local n, out = 0, {}\nfor at = 1, #data, 16 do\n", DATA,
    "local w0, w1, w2, w3 = e0, e1, e2, e3\n", rounds(), output("v0", "v1", "v2", "v3"),
    "v0, v1, v2, v3 = e0, e1, e2, e3\nend\nreturn concat(out)\nend\n",
    "return { encrypt = encrypt, ctr = ctr, cbc = cbc }\n",
  }, "sm4", make_tables(SBOX))
end

local Cipher = {}
Cipher.__index = Cipher

-- A key of 16 bytes, expanded.
function M.new(key)
  functions = functions or make_functions()
  return setmetatable({ keys = expand(key) }, Cipher)
end

-- The block (16 bytes) encrypted, as four words.
function Cipher:words(block)
  local w = bits.word
  return functions.encrypt(self.keys, w(block, 1), w(block, 5), w(block, 9), w(block, 13))
end

-- data, of any length, XORed with the key stream from the counter block iv || counter.
function Cipher:ctr(iv, counter, data)
  local w, length = bits.word, #data
  local padded = data .. ("\0"):rep(-length % 16)
  return functions.ctr(self.keys, w(iv, 1), w(iv, 5), w(iv, 9), counter, padded):sub(1, length)
end

-- Whole blocks decrypted in CBC mode; the IV is four words.
function Cipher:cbc_decrypt(v0, v1, v2, v3, data)
  if not self.inverse then self.inverse = reversed(self.keys) end
  return functions.cbc(self.inverse, v0, v1, v2, v3, data)
end

return M
