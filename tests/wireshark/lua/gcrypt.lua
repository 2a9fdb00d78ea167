-- SPDX-License-Identifier: GPL-2.0-or-later
-- Loaded before nst.lua: a stand-in for the class GcryptCipher of Wireshark 4.6, which is
-- not to be had for Debian 12. It has the interface that the Wireshark Developer's Guide
-- documents ("Gcrypt symmetric cipher functions"), as far as the dissector uses it:
-- ByteArrays in and out, NULL (nil) for the buffer of an operation that is not in place,
-- errors raised, checktag() returning a number. The ciphers below it are the plain Lua
-- ones. So it shows that the calls are right, not that libgcrypt is.

_G.GCRY_CIPHER_AES256, _G.GCRY_CIPHER_SM4 = 9, 318
_G.GCRY_CIPHER_MODE_ECB, _G.GCRY_CIPHER_MODE_CBC, _G.GCRY_CIPHER_MODE_GCM = 1, 3, 9
_G.GCRYCTL_RESET = 4

local NST_DISSECTOR_USE -- the dissector's modules; below

local KEY_LENGTH = { [GCRY_CIPHER_AES256] = 32, [GCRY_CIPHER_SM4] = 16 }
local MODULE = { [GCRY_CIPHER_AES256] = "aes", [GCRY_CIPHER_SM4] = "sm4" }

local function bytes(array, what)
  assert(type(array) == "userdata" and array.raw, what .. ": a ByteArray is expected")
  return array:raw()
end

local function words(block)
  local w = NST_DISSECTOR_USE("bits").word
  return w(block, 1), w(block, 5), w(block, 9), w(block, 13)
end

local Cipher = {}
Cipher.__index = Cipher

_G.GcryptCipher = {
  open = function(algorithm, mode, flags)
    assert(KEY_LENGTH[algorithm] and mode and flags == 0, "Invalid cipher algorithm")
    return setmetatable({ algorithm = algorithm, mode = mode }, Cipher)
  end,
}

function Cipher:setkey(key)
  key = bytes(key, "setkey")
  assert(#key == KEY_LENGTH[self.algorithm], "Invalid key length")
  self.cipher = NST_DISSECTOR_USE(MODULE[self.algorithm]).new(key)
end

function Cipher:ctl(command, buffer)
  assert(command == GCRYCTL_RESET and bytes(buffer, "ctl"))
  self.iv, self.auth, self.seen = nil, "", nil
end

function Cipher:setiv(iv)
  assert(self.cipher, "Missing key")
  self.iv, self.auth, self.seen = bytes(iv, "setiv"), "", ""
end

function Cipher:authenticate(buffer)
  assert(self.mode == GCRY_CIPHER_MODE_GCM and self.iv, "Invalid state")
  self.auth = self.auth .. bytes(buffer, "authenticate")
end

function Cipher:encrypt(out, input)
  assert(out == nil and self.mode == GCRY_CIPHER_MODE_ECB)
  local block = bytes(input, "encrypt")
  assert(#block == 16, "Invalid length")
  local b = NST_DISSECTOR_USE("bits").bytes
  local w0, w1, w2, w3 = self.cipher:words(block)
  return ByteArray.new(b(w0) .. b(w1) .. b(w2) .. b(w3), true)
end

function Cipher:decrypt(out, input)
  assert(out == nil)
  local data = bytes(input, "decrypt")
  assert(#data > 0, "Buffer too short")
  if self.mode == GCRY_CIPHER_MODE_CBC then
    assert(#data % 16 == 0 and #self.iv == 16, "Invalid length")
    local v0, v1, v2, v3 = words(self.iv)
    return ByteArray.new(self.cipher:cbc_decrypt(v0, v1, v2, v3, data), true)
  end
  assert(self.mode == GCRY_CIPHER_MODE_GCM and #self.iv == 12)
  self.seen = self.seen .. data
  return ByteArray.new(self.cipher:ctr(self.iv, 2, data), true)
end

function Cipher:checktag(tag)
  local use = NST_DISSECTOR_USE
  local bits, ghash = use("bits"), use("ghash")
  local hash = ghash.new(self.cipher:words(("\0"):rep(16)))
  local y = { hash:gcm(self.auth, self.seen) }
  local e = { self.cipher:words(self.iv .. "\0\0\0\1") }
  local expected = ""
  for i = 1, 4 do expected = expected .. bits.bytes(bits.xor(y[i], e[i])) end
  if expected == bytes(tag, "checktag") then return 0 end
  return 10, "Checksum error"
end

-- The modules, for the stand-in: nst.lua's own way to them is not there yet.
local folder, modules = os.getenv("NST_FOLDER"), {}
NST_DISSECTOR_USE = function(name)
  modules[name] = modules[name]
    or assert(loadfile(folder .. "/" .. name .. ".lua"))(NST_DISSECTOR_USE)
  return modules[name]
end
