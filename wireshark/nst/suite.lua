-- SPDX-License-Identifier: GPL-2.0-or-later
-- Session keys, and opening records under them (specification, sections 4 and 5).

local use = ...
if not use then return end

local bits = use("bits")
local H = use("header")
local M = {}

local char = string.char
local OKM_LENGTH = 68

-- K': the key with kval XORed into byte kpos; kpos 0 for none.
local function perturb(key, kpos, kval)
  if kpos == 0 then return key end
  return key:sub(1, kpos - 1) .. char(bits.xor(key:byte(kpos), kval)) .. key:sub(kpos + 1)
end

-- HKDF-Expand (RFC 5869, 2.3).
local function expand(hmac, info)
  local out, block, n = "", "", 0
  while #out < OKM_LENGTH do
    n = n + 1
    block = hmac(block .. info .. char(n))
    out = out .. block
  end
  return out
end

local Epoch = {}
Epoch.__index = Epoch

-- The keys of the header's epoch, from the key box's key, in this backend's hands.
function M.derive(backend, key, header)
  local suite = H.SUITES[header.cipher_id]
  local info = "NST1" .. char(header.cipher_id) .. header.raw:sub(17, 22)
  local hmac = backend.hmac(suite.hash, perturb(key, H.perturbation(header)))
  local okm = expand(hmac, info)
  local cipher = backend.cipher(suite.cipher, okm:sub(1, suite.key_length))
  return setmetatable({
    id = H.epoch(header),
    suite = suite,
    backend = backend.name,
    cipher = cipher,
    salt = okm:sub(65, 68),
    mac = not suite.gcm and backend.hmac(suite.hash, okm:sub(33, 64)) or nil,
  }, Epoch)
end

function Epoch:iv(header)
  return bits.xor_strings(self.salt, header.raw:sub(13, 16)) .. header.raw:sub(17, 24)
end

-- The plaintext; or nil and "AUTH" or "PADDING". chain is T of section 5, or "".
function Epoch:open(header, body, chain)
  local auth = H.zero_token(header) .. chain
  if self.suite.gcm then
    local plaintext = self.cipher:gcm_open(self:iv(header), auth, H.token(header), body)
    return plaintext, not plaintext and "AUTH" or nil
  end
  if self.mac(auth .. body):sub(1, 16) ~= H.token(header) then return nil, "AUTH" end
  local padded = self.cipher:cbc_decrypt(header.raw:sub(9, 24), body)
  local n = #body - header.length
  if n < 1 or n > 16 or padded:sub(-n) ~= char(n):rep(n) then return nil, "PADDING" end
  return padded:sub(1, header.length)
end

-- The plaintext, nothing verified.
function Epoch:decrypt(header, body)
  if self.suite.gcm then return self.cipher:gcm_decrypt(self:iv(header), body) end
  return self.cipher:cbc_decrypt(header.raw:sub(9, 24), body):sub(1, header.length)
end

return M
