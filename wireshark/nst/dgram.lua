-- SPDX-License-Identifier: GPL-2.0-or-later
-- Datagrams as an observer judges them (specification, sections 8 and 9). The model is
-- nst_scapy: observer.py, and the class DgramReceiver in receiver.py.

local use = ...
if not use then return end

local H = use("header")
local checks = use("checks")
local time = use("time")
local M = {}

local WINDOW_COUNTERS = 1024
local sub = string.sub
local NO_KEY_BOX = checks.NO_KEY_BOX
local CUT_OFF = "the snapshot length cut it off"

-- Looked up once: these run for every packet.
local LENGTH, PREFIX, view = H.LENGTH, H.PREFIX, H.view
local prefix, suite, form, perturbation =
  checks.prefix, checks.suite, checks.dgram_form, checks.perturbation

-- One datagram socket, as far as it talks to one other.
local Socket = {}
Socket.__index = Socket

-- table: session to entry { params, highest, accepted = counter to frame }, of the
-- address that the socket is at.
function M.new(env, table)
  return setmetatable({ env = env, table = table, sealed = {}, order = {}, oldest = 1, newest = 0 }, Socket)
end

-- Note that this socket sealed a datagram, in this frame (for REFLECT).
function Socket:sent(header, frame)
  local now, order, sealed = H.timestamp(header), self.order, self.sealed
  local limit = time.minus(now, self.env.window)
  local note = { session = header.session, time = now, frame = frame }
  sealed[header.session] = note
  self.newest = self.newest + 1
  order[self.newest] = note
  -- Forget the oldest ones; a note that a later one has replaced no longer counts.
  while order[self.oldest] ~= note do
    local old = order[self.oldest]
    if sealed[old.session] == old then
      if not time.before(old.time, limit) then break end
      sealed[old.session] = nil
    end
    order[self.oldest] = nil
    self.oldest = self.oldest + 1
  end
end

-- Checks 4 to 12: nil or a verdict, and the frame that it refers to.
function Socket:check(header, length, stamp)
  local env = self.env
  local verdict = suite(header) or form(header, length) or perturbation(header) or checks.kid(header, env.box())
    or checks.timestamp(header, stamp.time, env.window)
  if verdict then return verdict end
  local sealed = self.sealed[header.session]
  if sealed and not time.before(sealed.time, time.minus(stamp.time, env.window)) then
    return "REFLECT", sealed.frame
  end
  local entry = self.table[header.session]
  if header.session == 0 then return "SEQUENCE" end
  if not entry then return checks.floor(header) end
  if entry.params ~= header.params then return "SEQUENCE", entry.frame end
  if entry.accepted[header.counter] then return "REPLAY", entry.accepted[header.counter] end
  if entry.highest - header.counter >= WINDOW_COUNTERS then return "REPLAY" end
  return checks.floor(header)
end

function Socket:accept(header, frame)
  local entry = self.table[header.session]
  if not entry then
    entry = { params = header.params, highest = header.counter, accepted = {}, frame = frame }
    self.table[header.session] = entry
  end
  entry.accepted[header.counter] = frame
  entry.highest = math.max(entry.highest, header.counter)
end

-- Judge one datagram; a finding as in observed_stream.lua. length is that of the UDP
-- payload on the wire, captured what was captured of it, data that many bytes, or as many of
-- them as are needed where there is no key box; direction.back is the socket that sent it.
function Socket:judge(data, captured, length, stamp, direction)
  -- Four fields from the start: a table that grows is made several times.
  local finding = { frame = stamp.frame, direction = direction, header = nil, note = nil }
  if stamp.time then finding.time = stamp.time end
  if length < LENGTH then
    finding.verdict = "SHORT"
    return finding
  end
  local header = #data >= LENGTH and view(#data == LENGTH and data or sub(data, 1, LENGTH)) or nil
  finding.header = header
  local verdict = #data >= PREFIX and prefix(data, 1)
  if verdict then
    finding.verdict = verdict
    return finding
  elseif not header then
    finding.note = CUT_OFF
    return finding
  elseif not self.env.box() then
    verdict = suite(header) or form(header, length) or perturbation(header)
    if verdict then finding.verdict = verdict else finding.note = NO_KEY_BOX end
    return finding
  end
  finding.verdict, finding.earlier = self:check(header, length, stamp)
  if finding.verdict then return finding end
  if captured < length then
    finding.note = CUT_OFF
    return finding
  end
  local epoch, note = self.env.epoch(self.env.box(), header)
  if not epoch then
    finding.note = note
    return finding
  end
  finding.plaintext, finding.verdict = epoch:open(header, data:sub(H.LENGTH + 1), "")
  if finding.plaintext then
    finding.verdict = "OK"
    self:accept(header, stamp.frame)
    -- Only what is authentic was sealed by the sender; anyone can forge the rest.
    direction.back:sent(header, stamp.frame)
  end
  return finding
end

return M
