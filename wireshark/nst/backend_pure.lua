-- SPDX-License-Identifier: GPL-2.0-or-later
-- Crypto in plain Lua: always there, and the slowest.
--
-- A backend is { name =, hmac(hash, key) -> function(data) -> 32 bytes,
-- cipher(algorithm, key) -> object with gcm_open, gcm_decrypt and cbc_decrypt }.

local use = ...
if not use then return end

local bits = use("bits")
local ghash = use("ghash")

local CIPHERS = { aes = use("aes"), sm4 = use("sm4") }
local HASHES = { sha256 = use("sha256"), sm3 = use("sm3") }

local M = { name = "pure Lua" }

function M.hmac(hash, key)
  return HASHES[hash].hmac(key)
end

local Cipher = {}
Cipher.__index = Cipher

function M.cipher(algorithm, key)
  return setmetatable({ block = CIPHERS[algorithm].new(key) }, Cipher)
end

-- The plaintext, nil if the token does not verify.
function Cipher:gcm_open(iv, auth, token, body)
  local block = self.block
  self.hash = self.hash or ghash.new(block:words(("\0"):rep(16)))
  local y0, y1, y2, y3 = self.hash:gcm(auth, body)
  local e0, e1, e2, e3 = block:words(iv .. "\0\0\0\1")
  local word, xor = bits.word, bits.xor
  if xor(y0, e0) ~= word(token, 1) or xor(y1, e1) ~= word(token, 5)
    or xor(y2, e2) ~= word(token, 9) or xor(y3, e3) ~= word(token, 13) then
    return nil
  end
  return self:gcm_decrypt(iv, body)
end

function Cipher:gcm_decrypt(iv, body)
  return self.block:ctr(iv, 2, body)
end

-- Whole blocks decrypted; the IV is the encryption of block (SP 800-38A, appendix C).
function Cipher:cbc_decrypt(block, body)
  local v0, v1, v2, v3 = self.block:words(block)
  return self.block:cbc_decrypt(v0, v1, v2, v3, body)
end

return M
