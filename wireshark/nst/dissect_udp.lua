-- SPDX-License-Identifier: GPL-2.0-or-later
-- Datagrams.

local use = ...
if not use then return end

local session_module = use("session")
local tree_module = use("tree")
local M = {}

local udp_stream = Field.new("udp.stream")
local epoch_time = Field.new("frame.time_epoch")
local icmp, icmpv6 = Field.new("icmp"), Field.new("icmpv6")

-- The time of capture.
function M.now()
  local at = epoch_time().value
  return { s = at.secs, ns = at.nsecs }
end

-- Whether the packet is one that an ICMP error quotes.
function M.quoted()
  return icmp() or icmpv6()
end

local function multicast(dst)
  local text = tostring(dst)
  local first = tonumber(text:match("^(%d+)%."))
  if first then return first >= 224 and first <= 239 or text == "255.255.255.255" end
  return text:find("^[fF][fF]..:") ~= nil
end

function M.new(nst, fields, settings, session)
  local drawer = tree_module.new(nst, fields, settings)

  local function judge(tvb, pinfo)
    local stream = udp_stream()
    local conversation = session:conversation("udp", stream and stream.value or 0)
    session:number(conversation)
    local src = session_module.endpoint(pinfo.src, pinfo.src_port)
    local dst = session_module.endpoint(pinfo.dst, pinfo.dst_port)
    local stamp = { frame = pinfo.number, time = M.now() }
    local finding = session.observer:datagram(src, dst, tvb:raw(), tvb:reported_len(), stamp)
    session:note(finding, conversation)
    session.last_stamp = stamp
    return finding
  end

  local function header_only(tvb, tree, info)
    local item = tree:add(nst, tvb())
    if tvb:len() >= 48 then drawer:header(item, tvb()) end
    if info then item:add_proto_expert_info(info) end
  end

  -- Dissect one datagram; returns how many bytes were taken.
  return function(tvb, pinfo, tree)
    if M.quoted() then
      header_only(tvb, tree)
      return tvb:len()
    end
    if multicast(pinfo.dst) then
      pinfo.cols.protocol, pinfo.cols.info = "NST", "[multicast]"
      header_only(tvb, tree, fields.E.multicast)
      return tvb:len()
    end
    local key = "u" .. pinfo.number .. "." .. tvb:offset()
    local finding = session.results[key]
    if not finding then
      if pinfo.visited then
        header_only(tvb, tree)
        return tvb:len()
      end
      finding = judge(tvb, pinfo)
      session.results[key] = finding
    end
    tree_module.columns(pinfo, { finding })
    drawer:record(tree, tvb:len() > 0 and tvb() or nil, finding, pinfo)
    return tvb:len()
  end
end

return M
