-- SPDX-License-Identifier: GPL-2.0-or-later
-- SHA-256 (FIPS 180-4) in plain Lua, as a compression function for merkle.lua.

local use = ...
if not use then return end

local bits = use("bits")
local merkle = use("merkle")

local K = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
  0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
  0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
  0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
  0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
  0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
  0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
  0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
  0xc67178f2,
}

local compress = bits.compile([[
local K = ...
return function(h, w)
  for i = 17, 64 do
    local x, y = w[i - 15], w[i - 2]
    w[i] = MOD(ADD(w[i - 16], XOR(ROL(x, 25), ROL(x, 14), SHR(x, 3)), w[i - 7],
      XOR(ROL(y, 15), ROL(y, 13), SHR(y, 10))))
  end
  local a, b, c, d, e, f, g, k = h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8]
  for i = 1, 64 do
    local t = ADD(k, XOR(ROL(e, 26), ROL(e, 21), ROL(e, 7)), XOR(AND(e, XOR(f, g)), g), K[i], w[i])
    local u = ADD(t, XOR(ROL(a, 30), ROL(a, 19), ROL(a, 10)), XOR(AND(a, XOR(b, c)), AND(b, c)))
    k, g, f, e = g, f, e, MOD(ADD(d, t))
    d, c, b, a = c, b, a, MOD(u)
  end
  return { MOD(ADD(h[1], a)), MOD(ADD(h[2], b)), MOD(ADD(h[3], c)), MOD(ADD(h[4], d)),
    MOD(ADD(h[5], e)), MOD(ADD(h[6], f)), MOD(ADD(h[7], g)), MOD(ADD(h[8], k)) }
end]], "sha256", K)

return merkle.new(compress, {
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
})
