-- SPDX-License-Identifier: GPL-2.0-or-later
-- A captured TCP connection: both directions, their roles, and where a new one begins.
-- nst_scapy/observed_connection.py is the model.
--
-- Endpoints are strings. A segment is { src, dst, seq, ack, syn, is_ack, fin, rst, data,
-- length }.

local use = ...
if not use then return end

local H = use("header")
local observed_stream = use("observed_stream")
local reassembly = use("reassembly")
local shown = use("shown")
local M = {}

-- How long a bound reply waits for the record that it is bound to.
local MAX_WAIT_SEGMENTS = 4 -- of the connection
local MAX_WAIT_FRAMES = 256

-- Sequence number of the first payload byte: a SYN takes up one before it.
local function first_byte(segment)
  return segment.syn and (segment.seq + 1) % 4294967296 or segment.seq
end

M.first_byte = first_byte

local Direction = {}
Direction.__index = Direction

local Connection = {}
Connection.__index = Connection

local function new_direction(connection, src, dst, env, streams)
  local self = setmetatable({
    connection = connection, src = src, dst = dst, reassembler = reassembly.new(),
  }, Direction)
  self.stream = observed_stream.new(env, streams, self)
  return self
end

-- Whether the record with this header arrives at the acceptor.
function Direction:to_acceptor(header)
  local connection = self.connection
  local src, dst = self.src, self.dst
  if connection.connected[dst] then return false end
  if connection.connected[src] or connection.accepted[dst] then return true end
  if connection.accepted[src] then return false end
  if connection.acceptor then return connection.acceptor == dst end
  return not H.has(header, H.REPLY)
end

-- Take the roles from a record, if no earlier one has told them.
function Direction:settle(header)
  local connection = self.connection
  connection.acceptor = connection.acceptor or (H.has(header, H.REPLY) and self.src or self.dst)
end

-- A sink for the reassembler's pieces. What they complete is judged at stamp, or if that
-- is nil, at the segment that they came in.
function Direction:sink(stamp, out)
  return function(kind, value, offset, came)
    self.stream:feed(kind, value, offset, came.frame, stamp or came, out)
  end
end

-- Take a segment's payload and FIN.
function Direction:segment(segment, stamp, out)
  local reassembler, data, length = self.reassembler, segment.data, segment.length
  local seq = first_byte(segment)
  if not segment.fin and #data == length then
    local offset = reassembler:follows_on(seq, length)
    if offset then return self.stream:feed("data", data, offset, stamp.frame, stamp, out) end
  end
  reassembler:segment(seq, data, length, segment.fin, stamp, self:sink(stamp, out))
end

-- tables(endpoint) gives the replay table of an endpoint's address.
function M.new(first, env, tables)
  local src, dst = first.src, first.dst
  local self = setmetatable({
    directions = {},  -- by sender
    list = {},        -- the same, in order
    connected = {},   -- who sent a SYN without ACK: initiators, both at a simultaneous open
    accepted = {},    -- who sent a SYN with ACK
    acceptor = nil,   -- who accepted, by a record's flags, where no SYN was captured
    reset = false,
    new_syns = {},    -- SYNs seen in this connection that may begin another one
  }, Connection)
  local here = new_direction(self, src, dst, env, tables(dst))
  self.directions[src], self.list[1] = here, here
  if src ~= dst then
    local there = new_direction(self, dst, src, env, tables(src))
    self.directions[dst], self.list[2] = there, there
    here.stream.peer, there.stream.peer = there.stream, here.stream
  end
  return self
end

-- The SYN of a later connection of the same endpoints, if segment shows one. A SYN alone
-- replaces only a connection that its sender is done with, for anyone can inject one;
-- otherwise the answer to it does.
function Connection:successor(segment)
  if not segment.syn then return end
  if segment.is_ack then
    local syn = self.new_syns[segment.dst]
    return syn and first_byte(syn) == segment.ack and syn or nil
  end
  local reassembler = self.directions[segment.src].reassembler
  if not reassembler.base or reassembler.base == first_byte(segment) then return end
  if self.reset or reassembler.fin then return segment end
  self.new_syns[segment.src] = segment
end

-- Take a segment that is ACK alone, and is length bytes from seq on that begin with head: head
-- if they are one record that needs no more than to be shown, true if there are none, or nil
-- if this is for segment(), and nothing is done.
function Connection:plain(src, dst, seq, ack, head, length)
  local mine, other = self.directions[src], self.directions[dst]
  local stream, acknowledged = mine.stream, other.reassembler
  if stream.waiting or other.stream.waiting or acknowledged.held[1] then return end
  local finding = true
  if length > 0 then
    finding = shown(stream, head, length)
    if not finding or not mine.reassembler:follows_on(seq, length) then return end
  elseif acknowledged.fin then
    return -- both directions may have come to their end
  end
  acknowledged:acknowledge(ack)
  return finding
end

-- Judge what a segment completes, in either direction.
function Connection:segment(segment, stamp, out)
  local mine, other = self.directions[segment.src], self.directions[segment.dst]
  if segment.syn then self:opened(segment, mine) end
  if segment.is_ack and other.reassembler:acknowledge(segment.ack) then
    other.reassembler:lose_patience(other:sink(stamp, out))
  end
  if segment.length > 0 or segment.fin then
    mine:segment(segment, stamp, out)
  end
  if segment.rst then self.reset = true end
  local over = segment.rst or (mine:over() and other:over())
  if other.stream.waiting then self:wait(other, stamp, over, out) end
  if mine.stream.waiting then self:wait(mine, stamp, over, out) end
  -- Of a connection that is over nothing more will come.
  if over then self:finish(out) end
end

-- Whether all of the direction has been received.
function Direction:over()
  local reassembler = self.reassembler
  return reassembler.fin and reassembler.acked > reassembler.fin
end

-- Go on with a direction that waits for the other one, or wait on.
function Connection:wait(direction, stamp, over, out)
  local stream = direction.stream
  if stream.waiting ~= direction.waiting then
    direction.waiting, direction.waited = stream.waiting, 0
  end
  direction.waited = direction.waited + 1
  local patient = direction.waited <= MAX_WAIT_SEGMENTS
    and stamp.frame - stream.waiting.frame <= MAX_WAIT_FRAMES and not over
  stream[patient and "proceed" or "give_up_waiting"](stream, out)
end

function Connection:opened(segment, mine)
  local start = first_byte(segment)
  mine.reassembler:start(start)
  if mine.reassembler.base == start then
    local who = segment.is_ack and self.accepted or self.connected
    who[segment.src] = true
    mine.stream:begin()
  end
end

-- What is left to say when nothing more will come.
function Connection:finish(out)
  for _, direction in ipairs(self.list) do
    direction.reassembler:finish(direction:sink(nil, out))
  end
  for _, method in ipairs { "proceed", "give_up_waiting" } do
    for _, direction in ipairs(self.list) do
      local stream = direction.stream
      if stream.waiting then stream[method](stream, out) end
    end
  end
end

return M
