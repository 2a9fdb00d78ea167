-- SPDX-License-Identifier: GPL-2.0-or-later
-- Datagrams.

local use = ...
if not use then return end

local H = use("header")
local direction_of = use("session").direction
local tree_module = use("tree")
local M = {}

local columns, summary, LENGTH = tree_module.columns, tree_module.summary, H.LENGTH

-- A call of what these give reads its value, and is cheaper than its attribute: each word
-- with Wireshark costs more than most of what is done here in between.
local udp_stream = Field.new("udp.stream")
local epoch_time = Field.new("frame.time_epoch")
local icmp, icmpv6 = Field.new("icmp"), Field.new("icmpv6")

-- The time of capture.
function M.now()
  local at = epoch_time()()
  return { s = at.secs, ns = at.nsecs }
end

-- Whether the frame holds ICMP, which may quote a packet.
function M.quoted()
  return icmp() or icmpv6()
end

local function is_multicast(dst)
  local text = tostring(dst)
  local first = tonumber(text:match("^(%d+)%."))
  if first then return first >= 224 and first <= 239 or text == "255.255.255.255" end
  return text:find("^[fF][fF]..:") ~= nil
end

local MAX_OFFSET = 262144 -- what makes numbers of a frame and a place in it

local Udp = {}
Udp.__index = Udp

function M.new(nst, fields, settings, session)
  return setmetatable({
    nst = nst, E = fields.E, session = session,
    drawer = tree_module.new(nst, fields, settings, session),
    stamp = { frame = nil, time = nil }, -- that of the packet in hand
    dissected = false, -- whether dissect() was called for the packet in hand
    is_port = function() return false end, -- set by register.lua
  }, Udp)
end

-- The conversation of the packet in hand, and its direction.
function Udp:ends(stream, pinfo)
  local conversation = self.session:conversation("udp", stream(), pinfo)
  return conversation, direction_of(conversation, pinfo)
end

-- The finding on a datagram; data is what was captured of its payload, or as much of that
-- as is looked at.
function Udp:judge(conversation, direction, data, captured, length, number)
  local session = self.session
  if not conversation.index then session:number(conversation) end
  if not direction.socket then session.observer:sockets(conversation) end
  local stamp = self.stamp
  stamp.frame, stamp.time = number, session.env.box() and M.now()
  local finding = direction.socket:judge(data, captured, length, stamp, direction)
  session:note(finding, conversation)
  return finding
end

-- Whether the packet, of this direction, goes to more than one host.
local function multicast(direction, pinfo)
  if direction.multicast == nil then direction.multicast = is_multicast(pinfo.dst) end
  return direction.multicast
end

function Udp:header_only(tvb, tree, info)
  local item = tree:add(self.nst, tvb())
  if tvb:len() >= LENGTH then self.drawer:header(item, tvb()) end
  if info then item:add_proto_expert_info(info) end
  return tvb:len()
end

-- Dissect one datagram; returns how many bytes were taken.
function Udp:dissect(tvb, pinfo, tree)
  if self.late then return self:draw_late(pinfo, tree) end
  local session, number, captured = self.session, pinfo.number, tvb:len()
  self.dissected = true
  local results, key = session.datagrams, number * MAX_OFFSET + tvb:offset() % MAX_OFFSET
  local finding = results[key]
  if not finding then
    local stream = udp_stream()
    if not stream then session:fresh(pinfo, false) end
    if not stream or pinfo.in_error_pkt then return self:header_only(tvb, tree) end
    local conversation, direction = self:ends(stream, pinfo)
    if multicast(direction, pinfo) then
      columns(pinfo, "[multicast]")
      return self:header_only(tvb, tree, self.E.multicast)
    end
    if not session:fresh(pinfo, true) then return self:header_only(tvb, tree) end
    local wanted = (captured <= LENGTH or session.env.box()) and captured or LENGTH
    local data = wanted > 0 and tvb:raw(0, wanted) or ""
    finding = self:judge(conversation, direction, data, captured, tvb:reported_len(), number)
    results[key] = finding
  end
  columns(pinfo, summary(finding))
  self.drawer:record(tree, tvb, finding, pinfo, 0, captured)
  return captured
end

-- A datagram without payload, which Wireshark hands to nobody; length is its udp.length.
-- What there is to show is left in late, for the protocol's own dissector.
function Udp:post(pinfo, length)
  if length() ~= 8 or M.quoted()
    or not (self.is_port(pinfo.src_port) or self.is_port(pinfo.dst_port)) then
    return
  end
  local conversation, direction = self:ends(udp_stream(), pinfo)
  if multicast(direction, pinfo) then return end
  local results = self.session.datagrams
  local number = pinfo.number
  local key = -number
  local finding = results[key]
  if not finding then
    if not self.session:fresh(pinfo, true) then return end
    finding = self:judge(conversation, direction, "", 0, 0, number)
    results[key] = finding
  end
  self.late = finding
end

function Udp:draw_late(pinfo, tree)
  local finding = self.late
  self.late = nil
  columns(pinfo, summary(finding))
  self.drawer:record(tree, nil, finding, pinfo)
  return 0
end

return M
