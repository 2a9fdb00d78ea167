-- SPDX-License-Identifier: GPL-2.0-or-later
-- A record in the packet tree, the tabs and the columns.

local use = ...
if not use then return end

local H = use("header")
local checks = use("checks")
local time = use("time")
local M = {}

local UNVERIFIED = "unverified"
local MOST_WORDS = 4096 -- that are kept in each place
local format = string.format
local SUITES, CLOSE, has, view = H.SUITES, H.CLOSE, H.has, H.view

local epoch_time = Field.new("frame.time_epoch")

-- The time of capture that goes with a finding; if it is not kept, it is this packet's.
local function time_of(finding)
  if finding.time then return finding.time end
  local at = epoch_time()()
  return { s = at.secs, ns = at.nsecs }
end

-- The header of a finding, for a short look; nil if it has none.
local function header_of(finding)
  local raw = finding.header
  return raw and view(raw)
end

local Drawer = {}
Drawer.__index = Drawer

function M.new(nst, fields, settings, session)
  return setmetatable({
    nst = nst, F = fields.F, E = fields.E, settings = settings, session = session,
  }, Drawer)
end

-- Whether anyone looks at what the tree says of NST: most fields of most packets that
-- tshark reads, or that Wireshark loads, are never looked at.
function Drawer:wanted(tree)
  local handle = self.handle
  if not handle then
    handle = Dissector.get("nst")
    self.handle = handle
  end
  return tree:referenced(handle)
end

-- A function of two arguments, the first one a number, that makes strings: what it made is
-- kept, for string.format takes longer than to parse a header.
local function remember(make)
  local made, count = {}, 0
  return function(number, text)
    local of = made[text]
    if not of then
      of = {}
      made[text] = of
    end
    local found = of[number]
    if not found then
      if count >= MOST_WORDS then made, count, of = {}, 0, {} end
      found = make(number, text)
      of[number], made[text], count = found, of, count + 1
    end
    return found
  end
end

local beginning = remember(function(kid, cipher_id)
  local suite = SUITES[cipher_id]
  return format("%s kid %d seq ", suite and suite.name or "cipher " .. cipher_id, kid)
end)
local ending = remember(function(length, verdict)
  return format(" len %d [%s]", length, verdict)
end)
local ending_close = remember(function(length, verdict)
  return format(" len %d CLOSE [%s]", length, verdict)
end)

-- A record in a few words: AES_GCM kid 3 seq 17 len 1400 [OK]
local function words(raw, verdict)
  verdict = verdict or UNVERIFIED
  if not raw or verdict == "MAGIC" or verdict == "VERSION" then return "[" .. verdict .. "]" end
  local header = view(raw)
  local ends = has(header, CLOSE) and ending_close or ending
  return beginning(header.kid, header.cipher_id) .. header.counter .. ends(header.length, verdict)
end

M.words = words

function M.summary(finding)
  return words(finding.header, finding.verdict)
end

-- The header's fields; range holds its 48 bytes.
function Drawer:header(tree, tvb)
  local F = self.F
  tree:add(F.magic, tvb(0, 4))
  tree:add(F.version, tvb(4, 1))
  tree:add(F.cipher_id, tvb(5, 1))
  tree:add(F.transport_len, tvb(6, 2))
  tree:add_packet_field(F.timestamp, tvb(8, 8), ENC_TIME_NSECS + ENC_BIG_ENDIAN)
  local nonce = tree:add(F.nonce, tvb(16, 8))
  nonce:add(F.session_id, tvb(16, 6))
  nonce:add(F.counter, tvb(22, 2))
  tree:add(F.token, tvb(24, 16))
  tree:add(F.kpos, tvb(40, 1))
  tree:add(F.kval, tvb(41, 1))
  tree:add(F.kid, tvb(42, 2))
  local range = tvb(44, 4)
  local flags = tree:add(F.flags, range)
  flags:add(F.flags_undefined, range)
  flags:add(F.flags_bound, range)
  flags:add(F.flags_close, range)
  flags:add(F.flags_reply, range)
  flags:add(F.flags_dgram, range)
  return flags
end

local FLAG_NAMES = { { H.DGRAM, "DGRAM" }, { H.REPLY, "REPLY" }, { H.CLOSE, "CLOSE" }, { H.BOUND, "BOUND" } }

local function flag_names(header)
  local names = {}
  for _, flag in ipairs(FLAG_NAMES) do
    if H.has(header, flag[1]) then names[#names + 1] = flag[2] end
  end
  return table.concat(names, ", ")
end

-- What the dissector makes of the record.
function Drawer:generated(tree, finding)
  local F, E, header = self.F, self.E, header_of(finding)
  local verdict = tree:add(F.verdict, finding.verdict or UNVERIFIED):set_generated()
  if finding.verdict and finding.verdict ~= "OK" then
    if finding.hint then verdict:append_text(" (" .. finding.hint .. ")") end
    verdict:add_proto_expert_info(E[finding.verdict])
  elseif not finding.verdict then
    local note = tree:add(F.note, finding.note):set_generated()
    if finding.expert then note:add_proto_expert_info(E.unverified, "Unverified: " .. finding.note) end
  end
  if finding.earlier then tree:add(F.earlier, finding.earlier):set_generated() end
  if header then
    local captured, sealed = time_of(finding), H.timestamp(header)
    local skew = time.difference(captured, sealed)
    local item = tree:add(F.skew, NSTime.new(skew.s, skew.ns)):set_generated()
    -- Of a stream's later records no receiver asks this; of what is not NST no one does.
    local asked = checks.NUMBER[finding.verdict or "OK"]
    if (asked == 0 or asked > checks.NUMBER.TIMESTAMP)
      and time.apart(captured, sealed, self.settings.window) then
      item:add_proto_expert_info(E.skewed)
    end
  end
  if finding.sender then tree:add(F.sender, finding.sender):set_generated() end
  tree:add(F.stream, finding.direction.conversation.index):set_generated()
  if header then tree:add(F.epoch, self.session:epoch_number(header)):set_generated() end
  if finding.crypto then tree:add(F.crypto, finding.crypto):set_generated() end
  local err = self.settings:error()
  if err then tree:add_proto_expert_info(E.keybox, "Key box: " .. err) end
end

-- The tab with the plaintext, which is printed by tshark -x, tree or no tree.
local function tab(finding)
  local name = finding.verdict == "OK" and "Decrypted NST" or "Decrypted NST, not verified"
  return ByteArray.new(finding.plaintext, true):tvb(name)
end

-- Tab and inner dissector, without a tree.
function Drawer:inner_only(finding, pinfo, tree)
  local plaintext = finding.plaintext
  if not plaintext or plaintext == "" then return end
  local tvb = tab(finding)
  if not self.settings:dump() then self:call_inner(tvb, pinfo, tree) end
end

function Drawer:call_inner(tvb, pinfo, tree)
  -- An inner dissector must not ask TCP for more: these are not TCP's bytes.
  local desegment = pinfo.can_desegment
  pinfo.can_desegment = 0
  if not self.settings:dump() then pinfo.cols.info:fence() end
  self.settings:inner():call(tvb, pinfo, tree)
  pinfo.can_desegment = desegment
  if desegment > 0 then pinfo.desegment_len = 0 end
end

-- The decrypted tab, and the dissector that it is handed to.
function Drawer:payload(record, finding, pinfo, tree)
  local plaintext = finding.plaintext
  if not plaintext or plaintext == "" then return end
  local verified, tvb = finding.verdict == "OK", tab(finding)
  record:add(verified and self.F.payload or self.F.unverified_payload, tvb())
  self:call_inner(tvb, pinfo, tree)
end

-- A finding. The size bytes at position at of tvb are its own; tvb is nil if they are not
-- all in the packet.
function Drawer:record(tree, tvb, finding, pinfo, at, size)
  if not finding.expert and not self:wanted(tree) then
    return self:inner_only(finding, pinfo, tree)
  end
  tvb = tvb and tvb(at, size)
  local F = self.F
  local bytes = finding.bytes
  local reassembled = not tvb and bytes and #bytes > 0
  if reassembled then tvb = ByteArray.new(bytes, true):tvb("Reassembled NST record")() end
  local item = tvb and tree:add(self.nst, tvb) or tree:add(self.nst)
  item:append_text(", " .. M.summary(finding))
  if finding.header and tvb and tvb:len() >= H.LENGTH then
    local flags = self:header(item, tvb)
    local names = flag_names(header_of(finding))
    if names ~= "" then flags:append_text(" (" .. names .. ")") end
    if tvb:len() > H.LENGTH then item:add(F.body, tvb(H.LENGTH)) end
  elseif tvb then
    if tvb:len() >= 4 then item:add(F.magic, tvb(0, 4)) end
    if tvb:len() >= 5 then item:add(F.version, tvb(4, 1)) end
  end
  if reassembled then item:add(F.reassembled_length, #bytes):set_generated() end
  self:generated(item, finding)
  self:payload(item, finding, pinfo, tree)
end

-- The columns.
function M.columns(pinfo, info)
  local cols = pinfo.cols
  cols.protocol, cols.info = "NST", info
end

return M
