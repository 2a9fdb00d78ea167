-- SPDX-License-Identifier: GPL-2.0-or-later
-- Segments. Records are put together here, not by Wireshark's desegmentation: that would
-- lose what follows a hole, and hand over bytes in the order of capture. Segments without
-- payload count too (SYN, FIN, acknowledgements), and those that Wireshark holds back
-- itself (tcp.reassemble_out_of_order): they come by the post-dissector.

local use = ...
if not use then return end

local H = use("header")
local connection = use("connection")
local direction_of = use("session").direction
local tree_module = use("tree")
local udp = use("dissect_udp")
local M = {}

local byte = string.byte
local columns, summary, words_of = tree_module.columns, tree_module.summary, tree_module.words
local LENGTH = H.LENGTH
local HEADER_LENGTH = 20 -- of TCP, at least

local tcp_header, tcp_stream = Field.new("tcp"), Field.new("tcp.stream")
local tcp_length, tcp_payload = Field.new("tcp.len"), Field.new("tcp.payload")

-- The payload of the packet in hand, nil if there is none.
local function payload_range()
  local payload = tcp_payload()
  return payload and payload.range
end

-- Sequence number, acknowledgement and flags of the packet in hand. header is its TCP header,
-- the first 14 bytes of which were captured.
local function words(header)
  local s3, s2, s1, s0, a3, a2, a1, a0, _, flags = byte(header.range:raw(4, 10), 1, 10)
  return ((s3 * 256 + s2) * 256 + s1) * 256 + s0, ((a3 * 256 + a2) * 256 + a1) * 256 + a0, flags
end

-- Whether ACK is set, and neither FIN nor SYN nor RST.
local function is_plain(flags)
  return flags % 8 == 0 and flags % 32 >= 16
end

local shared = {} -- the segment of the packet in hand

-- A segment, with its data. Only those with SYN are kept by anyone: all others share a table,
-- for to make one costs more than to parse the header.
local function make(conversation, direction, seq, ack, flags, data, length)
  local syn = flags % 4 >= 2
  local segment = syn and {} or shared
  segment.src, segment.dst, segment.pair = direction.src, direction.dst, conversation.pair
  segment.data, segment.length = data, length
  segment.seq, segment.ack = seq, ack
  segment.fin, segment.syn = flags % 2 == 1, syn
  segment.rst, segment.is_ack = flags % 8 >= 4, flags % 32 >= 16
  return segment
end

local MAX_STREAMS = 262144
local NOTHING = { findings = {}, offset = 0 } -- the result of a segment that has none

-- A number that stands for a frame, and one of the segments in it.
local function place(frame, stream)
  return frame * MAX_STREAMS + stream % MAX_STREAMS
end

local Tcp = {}
Tcp.__index = Tcp

function M.new(nst, fields, settings, session)
  return setmetatable({
    nst = nst, F = fields.F, E = fields.E, session = session,
    drawer = tree_module.new(nst, fields, settings, session),
    dissected = false, -- whether dissect() was called for the packet in hand
    is_port = function() return false end, -- set by register.lua
  }, Tcp)
end

-- What the end of the segment is, that no finding covers.
local function describe_rest(result, stream, length)
  if stream.size > 0 then
    result.rest = math.min(stream.size, length)
    result.have, result.need = stream.size, stream.need
    if stream.waiting then result.need = nil end
    if stream.searching then result.have = nil end
  end
end

-- Judge what the segment completes; returns the frame's result, nil if there is nothing to
-- say.
function Tcp:judge(segment, conversation, pinfo)
  local session = self.session
  local stamp = { frame = pinfo.number, time = session.env.box() and udp.now() }
  local findings = self.spare or {}
  self.spare = nil
  local observer = session.observer
  if not conversation.index then
    session:number(conversation)
    for _, early in ipairs(conversation.early or {}) do
      observer:segment(early.segment, early.stamp, findings)
    end
    conversation.early = nil
  end
  local direction = observer:segment(segment, stamp, findings)
  if not direction.conversation then
    for _, each in ipairs(direction.connection.list) do each.conversation = conversation end
  end
  local reassembler = direction.reassembler
  -- What waits behind a hole is judged when another packet is in hand.
  if not stamp.time and reassembler.held[1] then stamp.time = udp.now() end
  local length, offset = segment.length, 0
  local held, rest
  if length > 0 and reassembler.base then
    offset = reassembler:offset(connection.first_byte(segment))
    local ending = offset + length
    if reassembler.next < ending then
      held = reassembler.held[1] and reassembler.held[1].offset - reassembler.next
    elseif reassembler.next == ending then
      rest = direction.stream.size > 0
    end
  end
  local count = #findings
  if count == 0 and not (held or rest) then
    self.spare = findings
    return
  end
  local result = { findings = findings, offset = offset }
  if held then result.held = held end
  if rest then describe_rest(result, direction.stream, #segment.data) end
  for i = 1, count do
    local finding = findings[i]
    session:note(finding, conversation)
    -- What others sent shows up here when it turns out not to come, or to be answered.
    if finding.direction ~= direction then finding.sender = finding.direction.src end
    if finding.came == stamp.frame and finding.direction == direction then
      finding.size, finding.bytes = #finding.bytes, nil
    end
  end
  return result
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
  elseif result.need <= LENGTH then
    return ("[%d bytes of a record]"):format(result.have)
  end
  return ("[%d of %d bytes of a record]"):format(result.have, result.need)
end

-- Draw a result; tvb is the segment's payload, nil if it has none.
function Tcp:draw(tree, tvb, result, pinfo)
  local findings = result.findings
  local count = #findings
  local text = tvb and rest_text(result)
  if count == 1 and not text then
    columns(pinfo, summary(findings[1]))
  elseif count > 0 or tvb then
    local words = {}
    for i = 1, count do words[i] = summary(findings[i]) end
    if text or count == 0 then words[count + 1] = text or "[nothing new]" end
    columns(pinfo, table.concat(words, ", "))
  end
  local captured = tvb and tvb:len()
  for i = 1, count do
    local finding = findings[i]
    local size, at = finding.size, finding.start - result.offset
    local here = tvb and size and at >= 0 and size > 0 and at + size <= captured
    self.drawer:record(tree, here and tvb or nil, finding, pinfo, at, size)
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
  self.dissected = true
  if not stream then session:fresh(pinfo, false) end
  if not stream or pinfo.in_error_pkt then
    tree:add(self.nst, tvb())
    return tvb:len()
  end
  local id, captured = stream(), tvb:len()
  local segments, key = session.segments, place(pinfo.number, id)
  local result = segments[key]
  if not result and session:fresh(pinfo, true) then
    result = self:sight(tvb, captured, id, pinfo)
    segments[key] = result
  end
  if not result then
    tree:add(self.nst, tvb())
  elseif type(result) == "string" then
    columns(pinfo, words_of(result))
    if self.drawer:wanted(tree) then
      local conversation = session:conversation("tcp", id, pinfo)
      local finding = session.unkeyed(result, pinfo.number, direction_of(conversation, pinfo))
      self.drawer:record(tree, tvb, finding, pinfo, 0, captured)
    end
  else
    self:draw(tree, tvb, result, pinfo)
  end
  return captured
end

-- The result of a segment with payload, of this tcp.stream, at first sight: as of judge(); or
-- a header, if the segment is just one record and more is to be said of none without a key box.
function Tcp:sight(tvb, captured, id, pinfo)
  local session = self.session
  local conversation = session:conversation("tcp", id, pinfo)
  local direction = direction_of(conversation, pinfo)
  local seq, ack, flags = words(tcp_header()) -- without a header nobody is given payload
  local length = tvb:reported_len()
  local known = conversation.index and captured == length and captured >= LENGTH and is_plain(flags)
    and session.observer:connection(conversation.pair)
  if known and session:nothing_to_say() then
    local head = known:plain(direction.src, direction.dst, seq, ack, tvb:raw(0, LENGTH), length)
    if head then
      session:note_unkeyed(head, pinfo.number, direction)
      return head
    end
  end
  local segment = make(conversation, direction, seq, ack, flags, tvb:raw(), length)
  return self:judge(segment, conversation, pinfo) or NOTHING
end

function Tcp:draw_late(pinfo, tree)
  local result = self.late
  self.late = nil
  self:draw(tree, payload_range(), result, pinfo)
  return 0
end

-- Any other segment of an NST connection, or that may become one; stream is its tcp.stream.
-- What there is to show is left in late, for the protocol's own dissector.
function Tcp:post(pinfo, stream)
  local session = self.session
  local id, number = stream(), pinfo.number
  local key = place(number, id)
  local result = session.segments[key]
  if result then
    self.late = result.late and result or nil
    return
  end
  if not session:fresh(pinfo, true) or udp.quoted() then return end
  local conversation = session:conversation("tcp", id, pinfo)
  local known = conversation.index or self.is_port(pinfo.src_port) or self.is_port(pinfo.dst_port)
  local length, header = tcp_length(), tcp_header()
  -- Where the header is no header Wireshark tells no length.
  if not header or not length and header.len < HEADER_LENGTH then return end
  length = length and length() or 0
  local direction = direction_of(conversation, pinfo)
  local seq, ack, flags = words(header)
  if conversation.index and length == 0 and is_plain(flags) then
    local connection = session.observer:connection(conversation.pair)
    if connection and connection:plain(direction.src, direction.dst, seq, ack, "", 0) then
      return
    end
  end
  local payload = length > 0 and payload_range()
  local segment = make(conversation, direction, seq, ack, flags, payload and payload:raw() or "",
    length)
  if known then
    result = self:judge(segment, conversation, pinfo)
    if result then
      result.late = true
      session.segments[key] = result
      self.late = result
    end
  elseif segment.syn then
    conversation.early = conversation.early or {}
    table.insert(conversation.early,
      { segment = segment, stamp = { frame = number, time = udp.now() } })
  end
end

return M
