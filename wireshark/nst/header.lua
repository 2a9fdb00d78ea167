-- SPDX-License-Identifier: GPL-2.0-or-later
-- The 48-byte record header and the suites' lengths (specification, sections 1 to 3).

local use = ...
if not use then return end

local time = use("time")
local M = {}

local byte, sub = string.byte, string.sub

M.LENGTH = 48
M.PREFIX = 5 -- bytes of a stream record after which checks 2 and 3 are made
M.MAGIC = "\190\239\019\055"
M.VERSION = 1
M.PORT = 48879
M.MAX_STREAM_PAYLOAD = 16384
M.MAX_KPOS = 32

M.DGRAM, M.REPLY, M.CLOSE, M.BOUND = 1, 2, 4, 8

M.SUITES = {
  { name = "AES_GCM", cipher = "aes", hash = "sha256", key_length = 32, gcm = true },
  { name = "AES_CBC", cipher = "aes", hash = "sha256", key_length = 32, gcm = false },
  { name = "SM4_GCM", cipher = "sm4", hash = "sm3", key_length = 16, gcm = true },
  { name = "SM4_CBC", cipher = "sm4", hash = "sm3", key_length = 16, gcm = false },
}

local SUITES = M.SUITES

-- Length of the body of a record of a known suite.
function M.body_length(header)
  local length = header.length
  if SUITES[header.cipher_id].gcm then return length end
  return length - length % 16 + 16
end

-- Read the 48 bytes of raw into header.
local function read(header, raw)
  local cipher_id, length_high, length_low = byte(raw, 6, 8)
  local s5, s4, s3, s2, s1, s0, counter_high, counter_low = byte(raw, 17, 24)
  local kpos, kval, kid_high, kid_low, f3, f2, f1, f0 = byte(raw, 41, 48)
  local kid = kid_high * 256 + kid_low
  header.raw = raw
  header.cipher_id = cipher_id
  header.length = length_high * 256 + length_low
  header.session = ((((s5 * 256 + s4) * 256 + s3) * 256 + s2) * 256 + s1) * 256 + s0
  header.counter = counter_high * 256 + counter_low
  header.kid = kid
  header.params = ((cipher_id * 65536 + kid) * 256 + kpos) * 256 + kval
  header.flags = ((f3 * 256 + f2) * 256 + f1) * 256 + f0
  return header
end

-- The header at position at (1-based) of data, which holds 48 bytes from there.
-- session is a number of 48 bits; params is one that stands for the key parameters.
-- It has no more fields than these eight: a ninth would double what each record takes.
function M.parse(data, at)
  return read({
    raw = nil, cipher_id = nil, length = nil, session = nil,
    counter = nil, kid = nil, params = nil, flags = nil,
  }, #data == 48 and data or sub(data, at, at + 47))
end

local seen = { raw = nil }

-- The same of 48 bytes, for a short look: the next call overwrites it. To make a table
-- costs as much as to read a header.
function M.view(raw)
  if seen.raw == raw then return seen end
  return read(seen, raw)
end

-- kpos and kval.
function M.perturbation(header)
  return byte(header.raw, 41, 42)
end

-- The 16 bytes of the token.
function M.token(header)
  return header.raw:sub(25, 40)
end

-- A string that stands for the record's epoch: session and key parameters.
function M.epoch(header)
  local raw = header.raw
  return raw:sub(17, 22) .. raw:sub(6, 6) .. raw:sub(41, 44)
end

-- Whether the header has this flag, one of the four above.
function M.has(header, flag)
  return header.flags % (2 * flag) >= flag
end

-- When the record was sealed.
function M.timestamp(header)
  return time.from_bytes(byte(header.raw, 9, 16))
end

-- The header with a zero token.
function M.zero_token(header)
  return header.raw:sub(1, 24) .. ("\0"):rep(16) .. header.raw:sub(41, 48)
end

return M
