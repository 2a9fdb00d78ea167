-- SPDX-License-Identifier: GPL-2.0-or-later
-- Wireshark dissector for NST: transport-layer security over TCP and UDP.
--
--   tshark -r capture.pcapng -X lua_script:wireshark/nst.lua -o nst.keybox:test.keybox
--
-- or, installed by `nst wireshark install`, without -X. This file finds and wires the
-- parts, which are in the folder nst/ beside it.

if rawget(_G, "NST_DISSECTOR") then return end -- loaded already, say by -X as well

local folder = debug.getinfo(1, "S").source:match("^@(.*)[/\\][^/\\]*$") or "."

-- The module nst/NAME.lua. Each is run once, and gets this function to reach the others.
local modules = {}
local function use(name)
  if modules[name] == nil then
    modules[name] = assert(loadfile(folder .. "/nst/" .. name .. ".lua"))(use) or false
  end
  return modules[name]
end

local nst = Proto("nst", "NST Record Protocol")
local fields = use("fields").define(nst)
local settings = use("settings").define(nst)
local session = use("session").new(settings)

local udp = use("dissect_udp").new(nst, fields, settings, session)
local tcp = use("dissect_tcp").new(nst, fields, settings, session)

function nst.dissector(tvb, pinfo, tree)
  if tcp.late or pinfo.port_type == 2 and not udp.late then return tcp:dissect(tvb, pinfo, tree) end
  return udp:dissect(tvb, pinfo, tree)
end

function nst.init()
  settings:refresh()
  session:reset()
end

use("register")(nst, settings, tcp, udp)
use("tap_stat")(session)
use("tap_follow")(session)

rawset(_G, "NST_DISSECTOR", { use = use, session = session, settings = settings, udp = udp, tcp = tcp })
