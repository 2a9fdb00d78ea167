-- SPDX-License-Identifier: GPL-2.0-or-later
-- The observer: verdicts on a capture, from outside (specification, section 8,
-- Observers). nst_scapy/observer.py is the model. Nothing here knows of Wireshark.
--
-- env is { box() -> key box or nil, epoch(box, header) -> epoch or nil and why,
-- window = { s, ns } }. An endpoint is a string; address(endpoint) gives its address.

local use = ...
if not use then return end

local connection = use("connection")
local dgram = use("dgram")
local M = {}

local Observer = {}
Observer.__index = Observer

function M.new(env, address)
  local self = setmetatable({
    env = env,
    stream_tables = {}, dgram_tables = {}, -- by address
    by_ends = {},                          -- datagram sockets
    connections = {}, connection_list = {},
  }, Observer)
  local function table_of(tables, endpoint)
    local key = address(endpoint)
    local found = tables[key]
    if not found then
      found = {}
      tables[key] = found
    end
    return found
  end
  self.stream_table = function(endpoint) return table_of(self.stream_tables, endpoint) end
  self.dgram_table = function(endpoint) return table_of(self.dgram_tables, endpoint) end
  return self
end

-- A string that stands for two endpoints.
function M.pair(src, dst)
  return src < dst and src .. " " .. dst or dst .. " " .. src
end

-- Judge what a TCP segment completes (as in connection.lua; pair is that of its ends); stamp
-- is { frame, time }. Findings are added to out, each with its direction.
function Observer:segment(segment, stamp, out)
  local key = segment.pair
  local found = self.connections[key]
  local syn = found and segment.syn and found:successor(segment)
  if syn then
    found:finish(out)
    found = nil
  end
  if not found then
    found = connection.new(segment, self.env, self.stream_table)
    self.connections[key] = found
    self.connection_list[#self.connection_list + 1] = found
    if syn and syn ~= segment then found:segment(syn, stamp, out) end
  end
  found:segment(segment, stamp, out)
  return found.directions[segment.src]
end

-- The connection between two endpoints, nil if there is none yet.
function Observer:connection(pair)
  return self.connections[pair]
end

-- The socket at dst, as far as it talks to src.
function Observer:socket(src, dst)
  local key = src .. " " .. dst
  local found = self.by_ends[key]
  if not found then
    found = dgram.new(self.env, self.dgram_table(dst))
    self.by_ends[key] = found
  end
  return found
end

-- Give both directions of a UDP conversation, { there, back } with src and dst, the socket
-- that they go to, and back, the one that they come from.
function Observer:sockets(conversation)
  local there, back = conversation.there, conversation.back
  there.socket, back.socket = self:socket(there.src, there.dst), self:socket(back.src, back.dst)
  there.back, back.back = back.socket, there.socket
end

-- What is left to say when the capture has ended.
function Observer:finish(out)
  for _, found in ipairs(self.connection_list) do found:finish(out) end
end

return M
