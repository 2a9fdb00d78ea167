-- SPDX-License-Identifier: GPL-2.0-or-later
-- Loaded after nst.lua: opens every record of NST_VECTORS (lines of key, chain, plaintext
-- and record in hex, "-" for none) with one backend, and prints what is wrong.

local use = NST_DISSECTOR.use
local H, suite = use("header"), use("suite")

local function unhex(hex)
  return hex == "-" and ""
    or hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
end

local function flipped(data, at)
  return data:sub(1, at - 1) .. string.char((data:byte(at) + 1) % 256) .. data:sub(at + 1)
end

-- Run the file of vectors with a backend module; returns how many, and complaints.
local function check(backend, path)
  local count, wrong = 0, {}
  for line in io.lines(path) do
    local key, chain, plaintext, record = line:match("^(%S+) (%S+) (%S+) (%S+)")
    key, chain, plaintext, record = unhex(key), unhex(chain), unhex(plaintext), unhex(record)
    local header, body = H.parse(record, 1), record:sub(H.LENGTH + 1)
    local epoch = suite.derive(backend, key, header)
    count = count + 1
    local function expect(what, got, expected)
      if got ~= expected then wrong[#wrong + 1] = ("record %d: %s"):format(count, what) end
    end
    expect("open", epoch:open(header, body, chain), plaintext)
    expect("decrypt", epoch:decrypt(header, body), plaintext)
    local altered = H.parse(flipped(record, 25), 1)
    expect("altered token", select(2, epoch:open(altered, body, chain)), "AUTH")
    altered = H.parse(flipped(record, 48), 1)
    expect("altered flags", select(2, epoch:open(altered, body, chain)), "AUTH")
    if body ~= "" then
      expect("altered body", select(2, epoch:open(header, flipped(body, #body), chain)), "AUTH")
    end
    expect("another chain", select(2, epoch:open(header, body, ("\7"):rep(16))), "AUTH")
  end
  return count, wrong
end

-- Without an environment it runs in wiregasm.
local path = os.getenv("NST_VECTORS") or "/in/vectors"
local name = os.getenv("NST_BACKEND") or "pure"
local backend = use("backend_" .. name)
if not backend then
  print("no backend " .. name)
else
  local count, wrong = check(backend, path)
  print(("%s: %d records, %d wrong"):format(backend.name, count, #wrong))
  for _, text in ipairs(wrong) do print(text) end
end
