-- SPDX-License-Identifier: GPL-2.0-or-later
-- Where the dissector is called: ports, Decode As, heuristics, after each packet.

local use = ...
if not use then return end

local H = use("header")

local tcp_stream, udp_length = Field.new("tcp.stream"), Field.new("udp.length")

-- The numbers in a range preference, "1,3-5".
local function numbers(text)
  local set = {}
  for first, last in tostring(text):gmatch("(%d+)%-?(%d*)") do
    first = tonumber(first)
    for port = first, math.min(tonumber(last) or first, 65535) do set[port] = true end
  end
  return set
end

return function(nst, settings, tcp, udp)
  local tables = { DissectorTable.get("tcp.port"), DissectorTable.get("udp.port") }
  local ports, listed = {}, nil

  settings:on_change(function()
    local text = tostring(settings.prefs.ports)
    if text == listed then return end
    for port in pairs(ports) do
      for _, t in ipairs(tables) do t:remove(port, nst) end
    end
    ports, listed = numbers(text), text
    for port in pairs(ports) do
      for _, t in ipairs(tables) do t:add(port, nst) end
    end
  end)

  for _, t in ipairs(tables) do t:add_for_decode_as(nst) end
  tcp.is_port = function(port) return ports[port] end
  udp.is_port = tcp.is_port

  function nst.prefs_changed() settings:apply() end
  settings:apply()

  -- Whether a packet begins as a record does.
  local function begins(tvb)
    if not settings.prefs.heuristics or tvb:len() < H.PREFIX then return false end
    return tvb:raw(0, H.PREFIX) == H.MAGIC .. string.char(H.VERSION)
  end

  nst:register_heuristic("tcp", function(tvb, pinfo, tree)
    if not begins(tvb) then return false end
    pinfo.conversation = nst -- what follows need not begin with a record
    tcp:dissect(tvb, pinfo, tree)
    return true
  end)

  nst:register_heuristic("udp", function(tvb, pinfo, tree)
    if tvb:len() < H.LENGTH or not begins(tvb) then return false end
    pinfo.conversation = nst
    udp:dissect(tvb, pinfo, tree)
    return true
  end)

  local after = Proto("nst_after", "NST segments without payload")
  local handle = Dissector.get("nst")
  function after.dissector(tvb, pinfo, tree)
    if tcp.dissected or udp.dissected then
      tcp.dissected, udp.dissected = false, false
      return
    end
    local stream, length = tcp_stream(), nil
    if stream then
      tcp:post(pinfo, stream)
    else
      length = udp_length()
      if not length then return end
      udp:post(pinfo, length)
    end
    if tcp.late or udp.late then handle:call(tvb, pinfo, tree) end
  end
  register_postdissector(after)
end
