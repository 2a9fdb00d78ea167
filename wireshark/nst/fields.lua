-- SPDX-License-Identifier: GPL-2.0-or-later
-- Every field and expert information of the dissector, by the specification's names.

local use = ...
if not use then return end

local H = use("header")
local checks = use("checks")
local M = {}

local F = {}

local SUITES = {}
for id, suite in ipairs(H.SUITES) do SUITES[id] = suite.name end

local function flag(name, bit, text)
  return ProtoField.bool("nst.flags." .. name, text, 32, nil, bit)
end

F.magic = ProtoField.uint32("nst.magic", "Magic", base.HEX)
F.version = ProtoField.uint8("nst.version", "Version")
F.cipher_id = ProtoField.uint8("nst.cipher_id", "Suite", base.DEC, SUITES)
F.transport_len = ProtoField.uint16("nst.transport_len", "Payload length", base.UNIT_STRING,
  { " byte", " bytes" })
F.timestamp = ProtoField.absolute_time("nst.timestamp", "Sealed at", base.UTC)
F.nonce = ProtoField.uint64("nst.nonce", "Nonce", base.HEX)
F.session_id = ProtoField.uint64("nst.session_id", "Session", base.HEX)
F.counter = ProtoField.uint16("nst.counter", "Counter")
F.token = ProtoField.bytes("nst.token", "Token")
F.kpos = ProtoField.uint8("nst.kpos", "Perturbed key byte")
F.kval = ProtoField.uint8("nst.kval", "Perturbation", base.HEX)
F.kid = ProtoField.uint16("nst.kid", "Key id")
F.flags = ProtoField.uint32("nst.flags", "Flags", base.HEX)
F.flags_bound = flag("bound", H.BOUND, "Bound")
F.flags_close = flag("close", H.CLOSE, "Close")
F.flags_reply = flag("reply", H.REPLY, "Reply")
F.flags_dgram = flag("dgram", H.DGRAM, "Datagram")
F.flags_undefined = ProtoField.uint32("nst.flags.undefined", "Undefined", base.HEX, nil, 0xfffffff0)
F.body = ProtoField.bytes("nst.body", "Body")
F.payload = ProtoField.bytes("nst.payload", "Payload")
F.unverified_payload = ProtoField.bytes("nst.unverified_payload", "Payload, not verified")
F.segment = ProtoField.bytes("nst.segment", "Part of a record")
F.ignored = ProtoField.bytes("nst.ignored", "Not part of a record")

-- Generated: what the dissector makes of it.
F.verdict = ProtoField.string("nst.verdict", "Verdict")
F.note = ProtoField.string("nst.note", "Why unverified")
F.skew = ProtoField.relative_time("nst.skew", "Captured after sealing by")
F.stream = ProtoField.uint32("nst.stream", "Conversation")
F.epoch = ProtoField.uint32("nst.epoch", "Epoch")
F.crypto = ProtoField.string("nst.crypto", "Crypto")
F.earlier = ProtoField.framenum("nst.earlier", "Earlier record in frame", base.NONE, frametype.NONE)
F.sender = ProtoField.string("nst.sender", "Sent by")
F.reassembled_length = ProtoField.uint32("nst.reassembled_length", "Reassembled from segments",
  base.UNIT_STRING, { " byte", " bytes" })

local E = {}

local g, s = expert.group, expert.severity

local function info(name, text, group, severity)
  E[name] = ProtoExpert.new("nst." .. name:lower() .. ".expert", text, group, severity)
end

info("SHORT", "SHORT: fewer than 48 bytes", g.MALFORMED, s.ERROR)
info("MAGIC", "MAGIC: not 0xBEEF1337", g.MALFORMED, s.ERROR)
info("VERSION", "VERSION: not 1", g.MALFORMED, s.ERROR)
info("CIPHER", "CIPHER: no such suite", g.MALFORMED, s.ERROR)
info("FLAGS", "FLAGS: not allowed here", g.MALFORMED, s.ERROR)
info("LENGTH", "LENGTH: impossible", g.MALFORMED, s.ERROR)
info("PERTURB", "PERTURB: impossible perturbation", g.MALFORMED, s.ERROR)
info("KID", "KID: no such key in the key box", g.UNDECODED, s.WARN)
info("TIMESTAMP", "TIMESTAMP: outside the window", g.SECURITY, s.WARN)
info("REFLECT", "REFLECT: sealed by the one it was sent to", g.SECURITY, s.ERROR)
info("SEQUENCE", "SEQUENCE: does not follow the record before", g.SEQUENCE, s.ERROR)
info("REPLAY", "REPLAY: accepted before", g.SECURITY, s.ERROR)
info("AUTH", "AUTH: the token does not verify", g.SECURITY, s.ERROR)
info("PADDING", "PADDING: wrong padding", g.SECURITY, s.ERROR)
info("TRUNCATED", "TRUNCATED: end of stream without CLOSE", g.SECURITY, s.WARN)
info("unverified", "Unverified", g.UNDECODED, s.NOTE)
info("skewed", "Sealed long before or after its capture", g.SEQUENCE, s.NOTE)
info("multicast", "NST datagrams are unicast: receivers drop this one", g.PROTOCOL, s.WARN)
info("keybox", "Key box", g.UNDECODED, s.ERROR)
info("held", "Bytes before these are missing", g.SEQUENCE, s.NOTE)
info("passed", "Bytes that are no record", g.UNDECODED, s.NOTE)

-- Give the protocol its fields; returns { F = by name, E = expert information by name }.
function M.define(nst)
  for _, name in ipairs(checks.VERDICTS) do assert(E[name], name) end
  local fields, experts = {}, {}
  for _, field in pairs(F) do fields[#fields + 1] = field end
  for _, e in pairs(E) do experts[#experts + 1] = e end
  nst.fields, nst.experts = fields, experts
  return { F = F, E = E }
end

return M
