-- SPDX-License-Identifier: GPL-2.0-or-later
-- Checks 2 to 9, which need no key and no state (specification, sections 8 and 10).
-- Each function returns the verdict of the first check that fails, or nil.

local use = ...
if not use then return end

local H = use("header")
local time = use("time")
local M = {}

local has = H.has
local NEVER = ("\0"):rep(8)

-- Every verdict, in the order of the checks.
M.VERDICTS = {
  "SHORT", "MAGIC", "VERSION", "CIPHER", "FLAGS", "LENGTH", "PERTURB", "KID", "TIMESTAMP",
  "REFLECT", "SEQUENCE", "REPLAY", "AUTH", "PADDING", "TRUNCATED",
}
M.NUMBER = { OK = 0 }
for number, name in ipairs(M.VERDICTS) do M.NUMBER[name] = number end

-- Checks 2 and 3, on 5 bytes or more at position at.
function M.prefix(data, at)
  if data:sub(at, at + 3) ~= H.MAGIC then return "MAGIC" end
  if data:byte(at + 4) ~= H.VERSION then return "VERSION" end
end

function M.suite(header)
  if not H.SUITES[header.cipher_id] then return "CIPHER" end
end

-- Checks 5 and 6 for a datagram whose UDP payload is of this length.
function M.dgram_form(header, length)
  if header.flags ~= H.DGRAM then return "FLAGS" end
  if length ~= H.LENGTH + H.body_length(header) then return "LENGTH" end
end

-- Checks 5 and 6 for a stream record that arrives at the acceptor, or at the initiator.
function M.stream_form(header, to_acceptor)
  local reply = has(header, H.REPLY)
  if header.flags > H.ALL_FLAGS or has(header, H.DGRAM) or reply == to_acceptor
    or (has(header, H.BOUND) and not reply) then
    return "FLAGS"
  end
  if header.length > H.MAX_STREAM_PAYLOAD or (header.length == 0) ~= has(header, H.CLOSE) then
    return "LENGTH"
  end
end

function M.perturbation(header)
  local kpos, kval = H.perturbation(header)
  if kpos > H.MAX_KPOS or (kpos == 0) ~= (kval == 0) then return "PERTURB" end
end

function M.kid(header, box)
  if not box.keys[header.kid] then return "KID" end
end

function M.timestamp(header, now, window)
  if time.apart(now, H.timestamp(header), window) then return "TIMESTAMP" end
end

-- The only Floor that an observer has is 0.
function M.floor(header)
  if header.raw:sub(9, 16) == NEVER then return "REPLAY" end
end

return M
