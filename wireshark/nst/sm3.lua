-- SPDX-License-Identifier: GPL-2.0-or-later
-- SM3 (GB/T 32905-2016) in plain Lua, as a compression function for merkle.lua.

local use = ...
if not use then return end

local bits = use("bits")
local merkle = use("merkle")

-- T_j rotated left by j.
local T = bits.compile([[
local t = {}
for j = 0, 63 do
  t[j + 1] = MOD(ROL(j < 16 and 0x79cc4519 or 0x7a879d8a, j % 32))
end
return t]], "sm3.constants")

local compress = bits.compile([[
local T = ...
return function(h, w)
  for i = 17, 68 do
    local x, y = w[i - 3], w[i - 13]
    x = XOR(w[i - 16], w[i - 9], ROL(x, 15))
    w[i] = XOR(x, ROL(x, 15), ROL(x, 23), ROL(y, 7), w[i - 6])
  end
  local a, b, c, d, e, f, g, k = h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8]
  for i = 1, 64 do
    local r = ROL(a, 12)
    local s = MOD(ADD(r, e, T[i]))
    s = ROL(s, 7)
    local t = ADD(d, XOR(s, r), XOR(w[i], w[i + 4]))
    local u = ADD(k, s, w[i])
    if i <= 16 then
      t, u = ADD(t, XOR(a, b, c)), ADD(u, XOR(e, f, g))
    else
      t, u = ADD(t, XOR(AND(a, XOR(b, c)), AND(b, c))), ADD(u, XOR(AND(e, XOR(f, g)), g))
    end
    u = MOD(u)
    d, c, b, a = c, ROL(b, 9), a, MOD(t)
    k, g, f, e = g, ROL(f, 19), e, XOR(u, ROL(u, 9), ROL(u, 17))
  end
  return { XOR(h[1], a), XOR(h[2], b), XOR(h[3], c), XOR(h[4], d),
    XOR(h[5], e), XOR(h[6], f), XOR(h[7], g), XOR(h[8], k) }
end]], "sm3", T)

return merkle.new(compress, {
  0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e,
})
