-- SPDX-License-Identifier: GPL-2.0-or-later
-- Preferences, and what follows from them: key box, crypto, window.

local use = ...
if not use then return end

local backend = use("backend")
local keybox = use("keybox")
local time = use("time")
local H = use("header")
local M = {}

local CRYPTO = {
  { 1, "Automatic", 0 }, { 2, "GcryptCipher (Wireshark 4.6)", 1 }, { 3, "luaossl", 2 },
  { 4, "Pure Lua", 3 },
}
local CRYPTO_NAMES = { [0] = "auto", "gcrypt", "luaossl", "pure" }

local Settings = {}
Settings.__index = Settings

-- Give the protocol its preferences.
function M.define(nst)
  local prefs = nst.prefs
  prefs.keybox = Pref.string("Key box", "",
    "File with the keys: lines of <kid> <64 hex digits>. It is read again when it changes.")
  prefs.decrypt = Pref.bool("Decrypt", true, "Decrypt and authenticate records.")
  prefs.decrypt_limit = Pref.uint("Decrypt at most (bytes)", 65536,
    "Records with a larger body are shown, but neither decrypted nor authenticated.")
  prefs.inner = Pref.string("Payload dissector", "data",
    "Name of the dissector that decrypted payload is handed to.")
  prefs.window = Pref.uint("Timestamp window (ms)", 30000,
    "How far a record's timestamp may be from the time of capture before it is TIMESTAMP.")
  prefs.ports = Pref.range("TCP and UDP ports", tostring(H.PORT), "Ports of NST.", 65535)
  prefs.heuristics = Pref.bool("Find NST at other ports", true,
    "Try whatever no other dissector takes: does it begin as a record does?")
  prefs.crypto = Pref.enum("Crypto", 0, "What decrypts; the fastest there is if automatic.",
    CRYPTO, false)
  prefs.note = Pref.statictext("Others can read a key box that is not mode 0600: keep it so.")
  return setmetatable({
    prefs = prefs,
    watched = keybox.watch(),
    backends = nil, -- by cipher_id
    listeners = {},
  }, Settings)
end

-- f is called when preferences have changed.
function Settings:on_change(f)
  self.listeners[#self.listeners + 1] = f
end

-- Take the preferences as they are now.
function Settings:apply()
  local prefs = self.prefs
  self.window = time.from_ms(prefs.window)
  self.decrypt, self.limit = prefs.decrypt, prefs.decrypt_limit
  local crypto = CRYPTO_NAMES[prefs.crypto]
  if crypto ~= self.crypto then self.crypto, self.backends = crypto, nil end
  local changed = self.watched:set(prefs.keybox)
  self:report(changed)
  for _, f in ipairs(self.listeners) do f() end
end

-- Look at the key-box file again.
function Settings:refresh()
  if not self.window then self:apply() end
  self:report(self.watched:refresh())
end

function Settings:report(changed)
  if changed and self.watched.err then report_failure("NST: " .. self.watched.err) end
end

-- The key box, nil if there is none.
function Settings:box()
  local watched = self.watched
  if watched.path ~= "" and watched:poll() then self:report(true) end
  return watched.box
end

-- What is wrong with the key box, nil if nothing is.
function Settings:error()
  return self.watched.err
end

-- The backend for a suite.
function Settings:backend(cipher_id)
  self.backends = self.backends or backend.choose(self.crypto)
  return self.backends[cipher_id]
end

-- The dissector for payload.
function Settings:inner()
  local name = self.prefs.inner
  if name ~= self.inner_name then
    self.inner_name = name
    local ok, found = pcall(Dissector.get, name)
    self.data = self.data or Dissector.get("data")
    self.inner_dissector = ok and name ~= "data" and found or self.data
  end
  return self.inner_dissector
end

-- Whether the dissector for payload only dumps bytes.
function Settings:dump()
  return self:inner() == self.data
end

return M
