-- SPDX-License-Identifier: GPL-2.0-or-later
-- Segments. Records are put together here, not by Wireshark's desegmentation: that would
-- lose what follows a hole, and hand over bytes in the order of capture. Segments without
-- payload count too (SYN, FIN, acknowledgements), and those that Wireshark holds back
-- itself (tcp.reassemble_out_of_order): they come by the post-dissector.

local use = ...
if not use then return end

local H = use("header")
local session_module = use("session")
local tree_module = use("tree")
local udp = use("dissect_udp")
local M = {}

local tcp_header, tcp_stream = Field.new("tcp"), Field.new("tcp.stream")
local tcp_length, tcp_payload = Field.new("tcp.len"), Field.new("tcp.payload")

-- The payload of the packet in hand, nil if there is none.
local function payload_range()
  local payload = tcp_payload()
  return payload and payload.range
end

-- The segment of the packet in hand, without its data.
local function parse(conversation, pinfo)
  local header = tcp_header()
  local range = header and header.range
  if not range or range:len() < 20 then return end
  local raw = range:raw(0, 14)
  local direction = session_module.direction(conversation, pinfo)
  local s3, s2, s1, s0, a3, a2, a1, a0, _, flags = raw:byte(5, 14)
  return {
    src = direction.src, dst = direction.dst,
    seq = ((s3 * 256 + s2) * 256 + s1) * 256 + s0,
    ack = ((a3 * 256 + a2) * 256 + a1) * 256 + a0,
    fin = flags % 2 == 1, syn = flags % 4 >= 2, rst = flags % 8 >= 4, is_ack = flags % 32 >= 16,
  }
end

local MAX_STREAMS = 262144

local Tcp = {}
Tcp.__index = Tcp

function M.new(nst, fields, settings, session)
  return setmetatable({
    nst = nst, F = fields.F, E = fields.E, session = session,
    drawer = tree_module.new(nst, fields, settings),
    is_port = function() return false end, -- set by register.lua
  }, Tcp)
end

-- Judge what the segment completes; returns the frame's result.
function Tcp:judge(segment, conversation, pinfo)
  local session = self.session
  local stamp = { frame = pinfo.number, time = udp.now() }
  local findings = {}
  local observer = session.observer
  if not conversation.index then
    session:number(conversation)
    for _, early in ipairs(conversation.early or {}) do
      observer:segment(early.segment, early.stamp, findings)
    end
    conversation.early = nil
  end
  local direction = observer:segment(segment, stamp, findings)
  for _, each in ipairs(direction.connection.list) do session.conversation_of[each] = conversation end
  local reassembler, stream = direction.reassembler, direction.stream
  local result = { findings = findings, offset = 0 }
  if segment.length > 0 and reassembler.base then
    result.offset = reassembler:offset((segment.seq + (segment.syn and 1 or 0)) % 4294967296)
    local ending = result.offset + segment.length
    if reassembler.next < ending then
      result.held = reassembler.held[1] and reassembler.held[1].offset - reassembler.next
    elseif reassembler.next == ending then
      self:describe_rest(result, stream, #segment.data)
    end
  end
  for i = 1, #findings do
    local finding = findings[i]
    session:note(finding, conversation)
    -- What others sent shows up here when it turns out not to come, or to be answered.
    if finding.direction ~= direction then finding.sender = finding.direction.src end
    if finding.came == stamp.frame and finding.direction == direction then
      finding.at, finding.size, finding.bytes = finding.start - result.offset, #finding.bytes, nil
    end
  end
  return result
end

-- What the end of the segment is, that no finding covers.
function Tcp:describe_rest(result, stream, length)
  result.skipped = stream.skipped - (stream.skipped_shown or 0)
  stream.skipped_shown = stream.skipped
  if stream.size > 0 then
    result.rest = math.min(stream.size, length)
    result.have, result.need = stream.size, stream.need
    if stream.waiting then result.need = nil end
    if stream.searching then result.have = nil end
  end
end

-- What to say of bytes that no finding covers, nil if there are none.
local function rest_text(result)
  if result.held then
    return ("[held: %d bytes before it are missing]"):format(result.held)
  elseif not result.rest then
    return nil
  elseif not result.have then
    return #result.findings == 0 and "[no record found]" or nil
  elseif not result.need then
    return "[waits for the record that it is bound to]"
  elseif result.need <= H.LENGTH then
    return ("[%d bytes of a record]"):format(result.have)
  end
  return ("[%d of %d bytes of a record]"):format(result.have, result.need)
end

-- Draw a result; tvb is the segment's payload, nil if it has none.
function Tcp:draw(tree, tvb, result, pinfo)
  local findings = result.findings
  local text = tvb and rest_text(result)
  if #findings > 0 or tvb then
    tree_module.columns(pinfo, findings, text or #findings == 0 and "[nothing new]" or nil)
  end
  for i = 1, #findings do
    local finding = findings[i]
    local at, size = finding.at, finding.size
    local here = tvb and at and at >= 0 and size > 0 and at + size <= tvb:len()
    self.drawer:record(tree, here and tvb(at, size) or nil, finding, pinfo)
  end
  if text then self:draw_rest(tree, tvb, result, text) end
end

function Tcp:draw_rest(tree, tvb, result, text)
  local size = math.min(result.held and tvb:len() or result.rest, tvb:len())
  if size == 0 then return end
  local range = tvb(tvb:len() - size, size)
  local item = tree:add(self.nst, range):append_text(", " .. text)
  if result.held then
    item:add_proto_expert_info(self.E.held)
  else
    item:add(result.have and self.F.segment or self.F.ignored, range)
  end
end

-- A segment with payload that Wireshark hands to this dissector.
function Tcp:dissect(tvb, pinfo, tree)
  if self.late then return self:draw_late(pinfo, tree) end
  local stream = tcp_stream()
  local session = self.session
  if not stream then session:fresh(pinfo, false) end
  if not stream or udp.quoted() then
    tree:add(self.nst, tvb())
    return tvb:len()
  end
  local key = M.key(pinfo, stream)
  local result = session.segments[key]
  if not result and session:fresh(pinfo, true) then
    local conversation = session:conversation("tcp", stream.value, pinfo)
    local segment = parse(conversation, pinfo)
    if not segment then return 0 end
    segment.data, segment.length = tvb:raw(), tvb:reported_len()
    result = self:judge(segment, conversation, pinfo)
    session.segments[key] = result
  end
  if result then
    self:draw(tree, tvb, result, pinfo)
  else
    tree:add(self.nst, tvb())
  end
  return tvb:len()
end

function Tcp:draw_late(pinfo, tree)
  local result = self.late
  self.late = nil
  self:draw(tree, payload_range(), result, pinfo)
  return 0
end

-- Any other segment of an NST connection, or that may become one. What there is to show
-- is left in late, for the protocol's own dissector.
function Tcp:post(pinfo)
  local stream = tcp_stream()
  if not stream then return end
  local session = self.session
  local key = M.key(pinfo, stream)
  local result = session.segments[key]
  if result then
    self.late = result.late and result or nil
    return
  end
  if not session:fresh(pinfo, true) or udp.quoted() then return end
  local conversation = session:conversation("tcp", stream.value, pinfo)
  local known = conversation.index or self.is_port(pinfo.src_port) or self.is_port(pinfo.dst_port)
  local segment = parse(conversation, pinfo)
  if not segment then return end
  local length, payload = tcp_length(), payload_range()
  segment.length = length and length.value or 0
  segment.data = payload and payload:raw() or ""
  if known then
    result = self:judge(segment, conversation, pinfo)
    if #result.findings > 0 or result.rest or result.held then
      result.late = true
      session.segments[key] = result
      self.late = result
    end
  elseif segment.syn then
    conversation.early = conversation.early or {}
    table.insert(conversation.early,
      { segment = segment, stamp = { frame = pinfo.number, time = udp.now() } })
  end
end

-- What stands for a frame, and one of the segments in it.
function M.key(pinfo, stream)
  return pinfo.number * MAX_STREAMS + stream.value % MAX_STREAMS
end

-- Whether the packet in hand is one for post().
function M.here()
  return tcp_stream()
end

return M
