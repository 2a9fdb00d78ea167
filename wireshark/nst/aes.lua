-- SPDX-License-Identifier: GPL-2.0-or-later
-- AES-256 (FIPS 197) in plain Lua: one block, CTR and CBC decryption (SP 800-38A).
--
-- Four tables of 256 words hold SubBytes, ShiftRows and MixColumns of one byte. The
-- round functions are written out and compiled with all 60 round keys in locals.

local use = ...
if not use then return end

local bits = use("bits")
local M = {}

local ROUNDS = 14
local format, concat = string.format, table.concat

local SBOX, INVERSE = {}, {}
local TE, TD = { {}, {}, {}, {} }, { {}, {}, {}, {} }
local FE, FD = { {}, {}, {}, {} }, { {}, {}, {}, {} } -- last round: no MixColumns

local xor = bits.xor

local function xtime(a)
  a = a * 2
  return a < 256 and a or xor(a, 0x11b)
end

local function make_tables()
  local log, exp = {}, {}
  local x = 1
  for i = 0, 254 do
    exp[i], log[x] = x, i
    x = xor(x, xtime(x)) -- 3 generates the field's non-zero elements
  end
  local function times(a, b)
    if a == 0 or b == 0 then return 0 end
    return exp[(log[a] + log[b]) % 255]
  end
  for i = 0, 255 do
    local inv = i == 0 and 0 or exp[(255 - log[i]) % 255]
    local s = 0x63
    for _ = 1, 5 do
      s = xor(s, inv)
      inv = inv * 2
      if inv > 255 then inv = inv - 255 end -- rotate left by one
    end
    SBOX[i], INVERSE[s] = s, i
  end
  local function word(a, b, c, d) return ((a * 256 + b) * 256 + c) * 256 + d end
  for i = 0, 255 do
    local s = SBOX[i]
    local s2, s3 = xtime(s), xor(xtime(s), s)
    TE[1][i], TE[2][i] = word(s2, s, s, s3), word(s3, s2, s, s)
    TE[3][i], TE[4][i] = word(s, s3, s2, s), word(s, s, s3, s2)
    local v = INVERSE[i]
    local e, n, d, b = times(v, 14), times(v, 9), times(v, 13), times(v, 11)
    TD[1][i], TD[2][i] = word(e, n, d, b), word(b, e, n, d)
    TD[3][i], TD[4][i] = word(d, b, e, n), word(n, d, b, e)
    for k, unit in ipairs { 16777216, 65536, 256, 1 } do
      FE[k][i], FD[k][i] = s * unit, v * unit
    end
  end
end

make_tables()

-- One round's source, from w0..w3 to w0..w3. Word j takes the bytes that ShiftRows
-- brings there; step is 1 for encryption, -1 for decryption.
local function round(tables, keys, step)
  local lines = {}
  for j = 0, 3 do
    lines[#lines + 1] = format("SPLIT(w%d, p%d, q%d, r%d, s%d);", j, j, j, j, j)
  end
  for j = 0, 3 do
    lines[#lines + 1] = format(
      "w%d = XOR(%s1[p%d], %s2[q%d], %s3[r%d], %s4[s%d], %s)", j,
      tables, j, tables, (j + step) % 4, tables, (j + 2 * step) % 4,
      tables, (j + 3 * step) % 4, keys(j))
  end
  return concat(lines, "\n") .. "\n"
end

-- Rounds first to the last; extra(j) is XORed to word j at the end.
local function rounds(first, step, extra)
  local out = {}
  for r = first, ROUNDS do
    local last = r == ROUNDS
    out[#out + 1] = round(last and "F" or "T", function(j)
      local key = format("k%d", 4 * r + j)
      return last and extra and key .. ", " .. extra(j) or key
    end, step)
  end
  return concat(out)
end

local function key_locals()
  local names, values = {}, {}
  for i = 0, 4 * ROUNDS + 3 do
    names[#names + 1], values[#values + 1] = "k" .. i, "k[" .. i .. "]"
  end
  return "local " .. concat(names, ",") .. " = " .. concat(values, ",") .. "\n"
end

local HEAD = [[
local T, F = ...
local T1, T2, T3, T4 = T[1], T[2], T[3], T[4]
local F1, F2, F3, F4 = F[1], F[2], F[3], F[4]
local char, byte, concat = string.char, string.byte, table.concat
]]

local WORK = "local w0,w1,w2,w3,p0,q0,r0,s0,p1,q1,r1,s1,p2,q2,r2,s2,p3,q3,r3,s3\n"


local ADD_FIRST_KEY = "w0, w1, w2, w3 = XOR(w0, k0), XOR(w1, k1), XOR(w2, k2), XOR(w3, k3)\n"

-- encrypt(keys, w0, w1, w2, w3) -> w0, w1, w2, w3
local encrypt_words = bits.compile(concat {
  HEAD,   "return function(k, w0, w1, w2, w3)\n",
  "local p0,q0,r0,s0,p1,q1,r1,s1,p2,q2,r2,s2,p3,q3,r3,s3\n",
  key_locals(), ADD_FIRST_KEY, rounds(1, 1), "return w0, w1, w2, w3\nend",
}, "aes.block", TE, FE)

local function data_word(j)
  local at = 4 * j
  return format("d%d*16777216+d%d*65536+d%d*256+d%d", at, at + 1, at + 2, at + 3)
end

local DATA = "local d0,d1,d2,d3,d4,d5,d6,d7,d8,d9,d10,d11,d12,d13,d14,d15 = byte(data, at, at + 15)\n"

local OUT = [[
SPLIT(w0, p0, q0, r0, s0);
SPLIT(w1, p1, q1, r1, s1);
SPLIT(w2, p2, q2, r2, s2);
SPLIT(w3, p3, q3, r3, s3);
n = n + 1
out[n] = char(p0, q0, r0, s0, p1, q1, r1, s1, p2, q2, r2, s2, p3, q3, r3, s3)
]]

-- ctr(keys, i0, i1, i2, counter, data): data, whole blocks, XORed with the key stream.
-- Only the counter's low byte changes within 256 blocks: the first round then changes
-- in one word, by one look-up, and the second in one look-up a word.
local ctr = bits.compile(concat {
  HEAD,   "return function(k, i0, i1, i2, counter, data)\n", key_locals(), WORK, [[
local n, out, low = 0, {}, 256
local c0, m0, m1, m2, m3
for at = 1, #data, 16 do
  if low == 256 then
    w0, w1, w2, w3 = XOR(i0, k0), XOR(i1, k1), XOR(i2, k2), XOR(counter, k3)
    SPLIT(w0, p0, q0, r0, s0);
    SPLIT(w1, p1, q1, r1, s1);
    SPLIT(w2, p2, q2, r2, s2);
    SPLIT(w3, p3, q3, r3, s3);
    c0 = XOR(T1[p0], T2[q1], T3[r2], k4)
    w1 = XOR(T1[p1], T2[q2], T3[r3], T4[s0], k5)
    w2 = XOR(T1[p2], T2[q3], T3[r0], T4[s1], k6)
    w3 = XOR(T1[p3], T2[q0], T3[r1], T4[s2], k7)
    SPLIT(w1, p1, q1, r1, s1);
    SPLIT(w2, p2, q2, r2, s2);
    SPLIT(w3, p3, q3, r3, s3);
    m0 = XOR(T2[q1], T3[r2], T4[s3], k8)
    m1 = XOR(T1[p1], T2[q2], T3[r3], k9)
    m2 = XOR(T1[p2], T2[q3], T4[s1], k10)
    m3 = XOR(T1[p3], T3[r1], T4[s2], k11)
    low = counter % 256
  end
  w0 = XOR(c0, T4[XOR(low, AND(k3, 255))])
  SPLIT(w0, p0, q0, r0, s0);
  w0, w1, w2, w3 = XOR(m0, T1[p0]), XOR(m1, T4[s0]), XOR(m2, T3[r0]), XOR(m3, T2[q0])
]], DATA, rounds(3, 1, data_word), OUT, [[
  low, counter = low + 1, counter + 1
end
return concat(out)
end]],
}, "aes.ctr", TE, FE)

-- cbc(keys, v0, v1, v2, v3, data): whole blocks decrypted, the IV in v0..v3.
local cbc = bits.compile(concat {
  HEAD,   "return function(k, v0, v1, v2, v3, data)\n", key_locals(), WORK, [[
local n, out = 0, {}
for at = 1, #data, 16 do
]], DATA,
  "w0, w1, w2, w3 = " .. concat({ data_word(0), data_word(1), data_word(2), data_word(3) }, ", "),
  "\n", ADD_FIRST_KEY, rounds(1, -1, function(j) return "v" .. j end), OUT,
  "v0, v1, v2, v3 = " .. concat({ data_word(0), data_word(1), data_word(2), data_word(3) }, ", "),
  "\nend\nreturn concat(out)\nend",
}, "aes.cbc", TD, FD)

local function sub_word(w)
  local a, b, c, d = bits.bytes(w):byte(1, 4)
  return ((SBOX[a] * 256 + SBOX[b]) * 256 + SBOX[c]) * 256 + SBOX[d]
end

local function expand(key)
  local k, rcon = {}, 1
  for i = 0, 7 do k[i] = bits.word(key, 4 * i + 1) end
  for i = 8, 4 * ROUNDS + 3 do
    local t = k[i - 1]
    if i % 8 == 0 then
      t = xor(sub_word(t % 16777216 * 256 + math.floor(t / 16777216)), rcon * 16777216)
      rcon = rcon * 2
    elseif i % 8 == 4 then
      t = sub_word(t)
    end
    k[i] = xor(k[i - 8], t)
  end
  return k
end

-- Round keys of the equivalent inverse cipher (FIPS 197, 5.3.5).
local function inverse_keys(k)
  local d = {}
  for r = 0, ROUNDS do
    for j = 0, 3 do
      local w = k[4 * (ROUNDS - r) + j]
      if r > 0 and r < ROUNDS then
        local a, b, c, e = bits.bytes(w):byte(1, 4)
        w = xor(xor(TD[1][SBOX[a]], TD[2][SBOX[b]]), xor(TD[3][SBOX[c]], TD[4][SBOX[e]]))
      end
      d[4 * r + j] = w
    end
  end
  return d
end

local Cipher = {}
Cipher.__index = Cipher

-- A key of 32 bytes, expanded.
function M.new(key)
  return setmetatable({ keys = expand(key) }, Cipher)
end

-- The block (16 bytes) encrypted, as four words.
function Cipher:words(block)
  local w = bits.word
  return encrypt_words(self.keys, w(block, 1), w(block, 5), w(block, 9), w(block, 13))
end

-- data, of any length, XORed with the key stream from the counter block iv || counter.
function Cipher:ctr(iv, counter, data)
  local w, length = bits.word, #data
  local padded = data .. ("\0"):rep(-length % 16)
  return ctr(self.keys, w(iv, 1), w(iv, 5), w(iv, 9), counter, padded):sub(1, length)
end

-- Whole blocks decrypted in CBC mode; the IV is four words.
function Cipher:cbc_decrypt(v0, v1, v2, v3, data)
  if not self.inverse then self.inverse = inverse_keys(self.keys) end
  return cbc(self.inverse, v0, v1, v2, v3, data)
end

return M
