-- SPDX-License-Identifier: GPL-2.0-or-later
-- Checks 2 to 9, which need no key and no state (specification, sections 8 and 10).
-- Each function returns the verdict of the first check that fails, or nil.

local use = ...
if not use then return end

local byte, sub = string.byte, string.sub
local H = use("header")
local time = use("time")
local M = {}

-- Looked up once: these run for every packet.
local body_length, perturbation = H.body_length, H.perturbation
local SUITES, MAGIC, VERSION, LENGTH = H.SUITES, H.MAGIC, H.VERSION, H.LENGTH
local DGRAM, REPLY, CLOSE, BOUND = H.DGRAM, H.REPLY, H.CLOSE, H.BOUND
local MAX_KPOS, MAX_STREAM_PAYLOAD = H.MAX_KPOS, H.MAX_STREAM_PAYLOAD
local NEVER = ("\0"):rep(8)

-- Why what passes the checks here is unverified, if there are no keys for more.
M.NO_KEY_BOX = "no key box"

-- Every verdict, in the order of the checks.
M.VERDICTS = {
  "SHORT", "MAGIC", "VERSION", "CIPHER", "FLAGS", "LENGTH", "PERTURB", "KID", "TIMESTAMP",
  "REFLECT", "SEQUENCE", "REPLAY", "AUTH", "PADDING", "TRUNCATED",
}
M.NUMBER = { OK = 0 }
for number, name in ipairs(M.VERDICTS) do M.NUMBER[name] = number end

-- Checks 2 and 3, on 5 bytes or more at position at.
function M.prefix(data, at)
  if sub(data, at, at + 3) ~= MAGIC then return "MAGIC" end
  if byte(data, at + 4) ~= VERSION then return "VERSION" end
end

function M.suite(header)
  if not SUITES[header.cipher_id] then return "CIPHER" end
end

-- Checks 5 and 6 for a datagram whose UDP payload is of this length.
function M.dgram_form(header, length)
  if header.flags ~= DGRAM then return "FLAGS" end
  if length ~= LENGTH + body_length(header) then return "LENGTH" end
end

-- The flags that a stream record may have, and whether it is a CLOSE.
local CLOSED = CLOSE + REPLY
local TO_ACCEPTOR = { [0] = false, [CLOSE] = true }
local TO_INITIATOR = {
  [REPLY] = false, [CLOSED] = true, [REPLY + BOUND] = false, [CLOSED + BOUND] = true,
}

-- Checks 5 and 6 for a stream record that arrives at the acceptor, or at the initiator.
function M.stream_form(header, to_acceptor)
  local closes = (to_acceptor and TO_ACCEPTOR or TO_INITIATOR)[header.flags]
  if closes == nil then return "FLAGS" end
  local length = header.length
  if length > MAX_STREAM_PAYLOAD or (length == 0) ~= closes then return "LENGTH" end
end

function M.perturbation(header)
  local kpos, kval = perturbation(header)
  if kpos > MAX_KPOS or (kpos == 0) ~= (kval == 0) then return "PERTURB" end
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
