-- SPDX-License-Identifier: GPL-2.0-or-later
-- One end of a connection as a receiver judges it (specification, section 8, STREAM):
-- checks 4 to 14 of records that others have found. nst_scapy/stream.py is the model.

local use = ...
if not use then return end

local H = use("header")
local checks = use("checks")
local M = {}

local Receiver = {}
Receiver.__index = Receiver

-- table: session to the frame of an accepted first record, of the destination address.
function M.new(env, table, to_acceptor)
  return setmetatable({ env = env, table = table, to_acceptor = to_acceptor }, Receiver)
end

-- Note the token of the first record that this side sent.
function Receiver:sent_first(token)
  self.sent = self.sent or token
end

-- Checks 4 to 12 of the next record: nil or a verdict, and the frame that it refers to.
function Receiver:check(header, stamp)
  local previous = self.previous
  local same_epoch = previous and previous.header.session == header.session
  -- A replaced key box takes effect at the next epoch.
  self.box = same_epoch and previous.box or self.env.box()
  local verdict = checks.suite(header) or checks.stream_form(header, self.to_acceptor)
    or checks.perturbation(header) or checks.kid(header, self.box)
    or (not previous and checks.timestamp(header, stamp.time, self.env.window)) or nil
  if verdict then return verdict end
  verdict = self:sequence(header)
  if verdict then return verdict, previous and previous.frame end
  if not previous then return self:replayed(header) end
end

function Receiver:replayed(header)
  local earlier = self.table[header.session]
  if earlier then return "REPLAY", earlier end
  return checks.floor(header)
end

function Receiver:sequence(header)
  local previous = self.previous
  if header.session == 0 then return "SEQUENCE" end
  if previous and previous.header.session == header.session then
    if header.counter ~= previous.header.counter + 1 then return "SEQUENCE" end
    if header.params ~= previous.header.params then return "SEQUENCE" end
  elseif header.counter ~= 0 then
    return "SEQUENCE"
  end
  if H.has(header, H.BOUND) and (previous or not self.sent) then return "SEQUENCE" end
end

-- Checks 13, 14 and REPLAY once more, of the record that passed check(): the plaintext,
-- or nil, the verdict (nil without crypto) and a frame or note.
function Receiver:open(header, body, stamp)
  local previous = self.previous
  local same_epoch = previous and previous.header.session == header.session
  local chain = ""
  if previous and not same_epoch then chain = H.token(previous.header) end
  if H.has(header, H.BOUND) and self.sent then chain = self.sent end
  local epoch, note = self.env.epoch(self.box, header)
  if not epoch then return nil, nil, note end
  local plaintext, verdict = epoch:open(header, body, chain)
  if not plaintext then return nil, verdict end
  if not previous then
    local replay, earlier = self:replayed(header)
    if replay then return nil, replay, earlier end
    self.table[header.session] = stamp.frame
  end
  self.previous = { header = header, box = self.box, frame = stamp.frame }
  return plaintext
end

-- Take header as the record before, although it was not judged.
function Receiver:resume(header, stamp)
  self.previous = { header = header, box = self.env.box(), frame = stamp.frame }
end

return M
