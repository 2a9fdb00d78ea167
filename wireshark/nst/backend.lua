-- SPDX-License-Identifier: GPL-2.0-or-later
-- Which crypto to use: the fastest that is there and gives the right answers.

local use = ...
if not use then return end

local H = use("header")
local suite = use("suite")
local M = {}

M.NAMES = { "gcrypt", "luaossl", "pure" } -- the fastest first

-- A record of each suite, from the project's known answers.
local KNOWN = {
  {
    key = "f737eaa88ecc85a1cdf4216d898a0c0fe89ac9bc9570714c28c82c20f482c8f7",
    plaintext = "3f434e363d0323e0030a250c945a6f4e12",
    record = "beef13370101001118d0bc9a11f199b0eacc4f73fd95ffff49d07ef86845c4b224257dd655d99e4a"
      .. "0b6b0000000000012be350466453ac1c2bc16807b1ae5a7a87",
  },
  {
    key = "4b63f797d2ee661cee24d4e803b9be36039190fe55ab2f1491f0d40b9107f203",
    plaintext = "b43425cc7095560121e08adb6264fb7a51",
    record = "beef1337010200111db8fc6619b459aa948bd910ddd70001af527a6fa8af95e5fc8abda99098e6c1"
      .. "1a29000000000001ecc7b416ee10612dba15569757abc8a8b58edb52db272676e31cfe4e6001f6a8",
  },
  {
    key = "18aea3754814c607c8d87ac7c187946ee2273b995d48e3addc7d1a6cee0cac46",
    plaintext = "a998fbeed1c3c15e8fed8e688662f8679b",
    record = "beef1337010300111871d323ac6ed38c788319644c170000dfb2c2e21ecd411b2f187c5ab40370cd"
      .. "01d000000000000174d53200e06107bac1f1c0de1c23fc29c1",
  },
  {
    key = "3557a0f5228bdf68ddfe809bc75d3d574cd8893b5503f706ee285ff60a88e0a4",
    plaintext = "557757b3bc2c8cb05c0ed82e634a6ac1c4",
    record = "beef1337010400111fa8b66af7e5695892f4bff5887bffffc71c26076ff16103d00b1d4489480ea8"
      .. "144c6ba100000001eadf7764cb5aa314a835e5ac89586f0a5183704df30f6ffbc58e73976c65d681",
  },
}

local function unhex(hex)
  return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- Whether a backend opens the known record of a suite, and refuses it with a bit changed.
local function works(backend, cipher_id)
  local known = KNOWN[cipher_id]
  local record, plaintext = unhex(known.record), unhex(known.plaintext)
  local header, body = H.parse(record, 1), record:sub(H.LENGTH + 1)
  local epoch = suite.derive(backend, unhex(known.key), header)
  local changed = string.char((body:byte(1) + 1) % 256) .. body:sub(2)
  return epoch:open(header, body, "") == plaintext
    and epoch:decrypt(header, body) == plaintext
    and epoch:open(header, changed, "") == nil
end

-- One backend for each cipher_id. name is one of NAMES, or "auto". Where the one named
-- is not there or does not work, the next one is taken.
function M.choose(name)
  local chosen, first = {}, 1
  for i, candidate in ipairs(M.NAMES) do
    if candidate == name then first = i end
  end
  for cipher_id = 1, #H.SUITES do
    for i = first, #M.NAMES do
      local backend = use("backend_" .. M.NAMES[i])
      if backend then
        local ran, right = pcall(works, backend, cipher_id)
        if ran and right then
          chosen[cipher_id] = backend
          break
        end
      end
    end
  end
  return chosen
end

return M
