-- SPDX-License-Identifier: GPL-2.0-or-later
-- Crypto by OpenSSL, through luaossl (Debian's lua-luaossl).
--
-- luaossl does GCM, but without additional data, and OpenSSL 3.0 has no SM4-GCM. So
-- plaintext comes from CTR mode, and tokens are verified so:
-- * AES: GHASH is a polynomial in H over blocks, whatever they mean. OpenSSL is given
--   auth || body as if it were ciphertext with no additional data, which differs from
--   the true input in the last block only, that of the lengths. The difference times H
--   is added to the token, and OpenSSL compares.
-- * SM4: GHASH in plain Lua.

local use = ...
if not use then return end

local bits = use("bits")
local ghash = use("ghash")

local found, cipher = pcall(require, "openssl.cipher")
local also, hmac = pcall(require, "openssl.hmac")
if not (found and also) then return nil end

local M = { name = "luaossl" }

local MODES = {
  aes = { ctr = "AES-256-CTR", cbc = "AES-256-CBC", ecb = "AES-256-ECB", gcm = "AES-256-GCM" },
  sm4 = { ctr = "SM4-CTR", cbc = "SM4-CBC", ecb = "SM4-ECB" },
}
local DIGESTS = { sha256 = "SHA256", sm3 = "SM3" }

function M.hmac(hash, key)
  local digest = DIGESTS[hash]
  return function(data)
    return hmac.new(key, digest):final(data)
  end
end

local ZEROS = ("\0"):rep(16)

local Cipher = {}
Cipher.__index = Cipher

function M.cipher(algorithm, key)
  local modes = MODES[algorithm]
  local self = { key = key, ctr = cipher.new(modes.ctr), cbc = cipher.new(modes.cbc),
    ecb = cipher.new(modes.ecb), gcm = modes.gcm and cipher.new(modes.gcm) }
  return setmetatable(self, Cipher)
end

-- One block encrypted.
function Cipher:block(data)
  return self.ecb:encrypt(self.key, nil, false):final(data)
end

function Cipher:hash()
  if not self.ghash then
    local h, w = self:block(ZEROS), bits.word
    self.ghash = ghash.new(w(h, 1), w(h, 5), w(h, 9), w(h, 13))
  end
  return self.ghash
end

local function add(token, a0, a1, a2, a3)
  local out = ""
  for i, a in ipairs { a0, a1, a2, a3 } do
    out = out .. bits.bytes(bits.xor(bits.word(token, 4 * i - 3), a))
  end
  return out
end

function Cipher:verify_aes(iv, auth, token, body)
  local padded = #body % 16 == 0 and body or body .. ("\0"):rep(-#body % 16)
  -- Lengths in bits: as GCM counts them here, and as it should; auth is whole blocks.
  local counted, body_bits = (#auth + #padded) * 8, #body * 8
  local expected = add(token,
    self:hash():times(0, #auth * 8, 0, bits.xor(counted, body_bits)))
  local gcm = self.gcm:decrypt(self.key, iv)
  gcm:setTag(expected)
  return gcm:final(auth .. padded) ~= nil
end

-- The block that masks the token is that of the keystream before the payload's first:
-- starting a cipher takes as long as some hundred bytes of it.
function Cipher:open_sm4(iv, auth, token, body)
  local stream = self.ctr:decrypt(self.key, iv .. "\0\0\0\1"):final(ZEROS .. body)
  if add(stream:sub(1, 16), self:hash():gcm(auth, body)) == token then return stream:sub(17) end
end

-- The plaintext, nil if the token does not verify.
function Cipher:gcm_open(iv, auth, token, body)
  if not self.gcm then return self:open_sm4(iv, auth, token, body) end
  if self:verify_aes(iv, auth, token, body) then return self:gcm_decrypt(iv, body) end
end

function Cipher:gcm_decrypt(iv, body)
  if body == "" then return "" end
  return self.ctr:decrypt(self.key, iv .. "\0\0\0\2"):final(body)
end

-- Whole blocks decrypted; the IV is the encryption of block (SP 800-38A, appendix C).
function Cipher:cbc_decrypt(block, body)
  return self.cbc:decrypt(self.key, self:block(block), false):final(body)
end

return M
