-- SPDX-License-Identifier: GPL-2.0-or-later
-- One direction of a captured TCP connection, put in order, whatever Wireshark's own
-- setting for out-of-order segments: verdicts depend on the order of the bytes.
--
-- A capture, unlike a host, can miss bytes for good. Wireshark does not say when a
-- capture ends, and what waits behind a hole is not shown, so holes are given up as
-- soon as it is safe: shortly after the other side has acknowledged the bytes, or, if
-- nothing tells what it has, after a few more segments. nst_scapy/tcp.py is the model and has
-- the same numbers.

local use = ...
if not use then return end

local M = {}

local MAX_HELD_BYTES = 8 * 1048576
local MAX_HELD_SEGMENTS = 8192
local PATIENCE = 3         -- segments of the connection, once the bytes were acknowledged
local PATIENCE_NO_ACK = 16 -- segments held, while nothing was acknowledged
local PATIENCE_ONE_WAY = 4 -- segments held, while the other side was never seen
local MAX_AHEAD = 1073741824 -- no window is larger (RFC 7323, 2.3)

local Reassembler = {}
Reassembler.__index = Reassembler

function M.new()
  return setmetatable({
    base = nil,       -- sequence number of stream offset 0
    next = 0,         -- stream offset of the next piece
    held = {},        -- early segments, by offset; of equals, the first one first
    held_bytes = 0,
    acked = 0,
    peer_seen = false,
    patience = PATIENCE,
    fin = nil,        -- stream offset of the FIN
    ended = false,
  }, Reassembler)
end

-- Set the sequence number of the first byte, if none is known yet.
function Reassembler:start(seq)
  self.base = self.base or seq
end

-- The stream offset nearest to where we are, for a 32-bit sequence number.
function Reassembler:offset(seq)
  local ahead = (seq - self.base - self.next) % 4294967296
  if ahead >= 2147483648 then ahead = ahead - 4294967296 end
  return self.next + ahead
end

-- Note that the receiver has acknowledged all before ack. True if something waits behind a
-- hole: lose_patience() then.
function Reassembler:acknowledge(ack)
  self.peer_seen = true
  if not self.base then return end
  local offset = self:offset(ack)
  if offset > self.acked then self.acked = offset end
  return #self.held > 0
end

-- Take length bytes that nothing is to be done about but to give them out at once: as
-- nearly all do, they follow on, and nothing waits for them. Returns their stream offset, or
-- nil if they are for segment().
function Reassembler:follows_on(seq, length)
  local offset = self.next
  if not self.base or self.fin or self.held[1] or (self.base + offset) % 4294967296 ~= seq then
    return
  end
  self.next, self.patience = offset + length, PATIENCE
  return offset
end

-- Take a segment of length bytes, the first ones of which are data. sink(kind, value,
-- offset, stamp) takes the pieces: "data" and a string, "missing" and a length, or "end";
-- with the stamp of the segment that it was captured in (for a hole, that ends it).
function Reassembler:segment(seq, data, length, fin, stamp, sink)
  self:start(seq)
  local offset = self:offset(seq)
  if self.ended or offset - self.next > MAX_AHEAD then return end
  if fin and not self.fin then self.fin, self.fin_stamp = offset + length, stamp end
  if length > 0 and offset + length > self.next then
    local held = self.held
    local at = #held + 1
    while at > 1 and held[at - 1].offset > offset do at = at - 1 end
    table.insert(held, at, { offset = offset, data = data, length = length, stamp = stamp })
    self.held_bytes = self.held_bytes + #data
  end
  self:drain(sink)
  if #self.held > 0 then self:lose_patience(sink) end
end

-- Give up what has not come.
function Reassembler:finish(sink)
  while #self.held > 0 do self:skip_hole(sink) end
end

-- Give up the hole, if it is time.
function Reassembler:lose_patience(sink)
  if self.acked > self.next then self.patience = self.patience - 1 end
  while #self.held > 0 and self:hopeless() do self:skip_hole(sink) end
end

-- Whether the bytes before what is held are not worth waiting for.
function Reassembler:hopeless()
  local held = #self.held
  if self.patience <= 0 or self.held_bytes > MAX_HELD_BYTES or held > MAX_HELD_SEGMENTS then
    return true
  end
  if self.fin and self.acked > self.fin then return true end -- all of the stream was received
  if self.acked > 0 then return false end
  return held > (self.peer_seen and PATIENCE_NO_ACK or PATIENCE_ONE_WAY)
end

function Reassembler:skip_hole(sink)
  local after = self.held[1]
  sink("missing", after.offset - self.next, self.next, after.stamp)
  self.next = after.offset
  self:drain(sink)
end

-- Give out what follows on.
function Reassembler:drain(sink)
  local held = self.held
  local taken = 0
  local moved = false
  while held[taken + 1] and held[taken + 1].offset <= self.next do
    taken = taken + 1
    local segment = held[taken]
    local data, length = segment.data, segment.length
    self.held_bytes = self.held_bytes - #data
    local seen = self.next - segment.offset
    if seen < length then
      moved = true
      self.next = segment.offset + length
      if seen < #data then
        sink("data", seen > 0 and data:sub(seen + 1) or data, segment.offset + seen, segment.stamp)
      end
      if #data < length then
        local from = math.max(seen, #data)
        sink("missing", length - from, segment.offset + from, segment.stamp)
      end
    end
  end
  if taken == #held then
    self.held = {}
  elseif taken > 0 then
    self.held = { table.unpack(held, taken + 1) }
  end
  if moved then self.patience = PATIENCE end
  if self.fin and self.next >= self.fin and not self.ended then
    self.ended = true
    self.held, self.held_bytes = {}, 0
    sink("end", 0, self.next, self.fin_stamp)
  end
end

return M
