-- SPDX-License-Identifier: GPL-2.0-or-later
-- Crypto by libgcrypt, through the class GcryptCipher of Wireshark 4.6 and later.
-- It has ciphers only: hashes come from plain Lua.

local use = ...
if not use then return end

local GcryptCipher = rawget(_G, "GcryptCipher")
if not GcryptCipher then return nil end

local pure = use("backend_pure")

local M = { name = "GcryptCipher", hmac = pure.hmac }

local ALGORITHMS = { aes = "GCRY_CIPHER_AES256", sm4 = "GCRY_CIPHER_SM4" }

local function raw(data)
  return ByteArray.new(data, true)
end

local Cipher = {}
Cipher.__index = Cipher

function M.cipher(algorithm, key)
  return setmetatable({ algorithm = _G[ALGORITHMS[algorithm]], key = raw(key) }, Cipher)
end

-- The handle for a mode, made when first asked for, ready for another message.
function Cipher:handle(mode)
  local handle = self[mode]
  if handle then
    handle:ctl(GCRYCTL_RESET, ByteArray.new())
  else
    handle = GcryptCipher.open(self.algorithm, _G["GCRY_CIPHER_MODE_" .. mode], 0)
    handle:setkey(self.key)
    self[mode] = handle
  end
  return handle
end

-- The plaintext, nil if the token does not verify.
function Cipher:gcm_open(iv, auth, token, body)
  local gcm = self:handle("GCM")
  gcm:setiv(raw(iv))
  gcm:authenticate(raw(auth))
  local plaintext = body ~= "" and gcm:decrypt(nil, raw(body)):raw() or ""
  if gcm:checktag(raw(token)) == 0 then return plaintext end
end

function Cipher:gcm_decrypt(iv, body)
  if body == "" then return "" end
  local gcm = self:handle("GCM")
  gcm:setiv(raw(iv))
  return gcm:decrypt(nil, raw(body)):raw()
end

-- Whole blocks decrypted; the IV is the encryption of block (SP 800-38A, appendix C).
function Cipher:cbc_decrypt(block, body)
  local iv = self:handle("ECB"):encrypt(nil, raw(block))
  local cbc = self:handle("CBC")
  cbc:setiv(iv)
  return cbc:decrypt(nil, raw(body)):raw()
end

return M
