-- SPDX-License-Identifier: GPL-2.0-or-later
-- One direction of a captured stream, from bytes to records to verdicts (specification,
-- section 8, Observers). nst_scapy/observed_stream.py is the model, and says why.
--
-- A finding is { verdict = a name, or nil for unverified; frame; time = when that was
-- captured, if it is known; header; direction; bytes = what is there of the record; start =
-- its stream offset; came = the one frame that they all came in, or nil; plaintext; note;
-- earlier = a frame }.

local use = ...
if not use then return end

local H = use("header")
local checks = use("checks")
local stream = use("stream")
local M = {}

-- Looked up once: these run for every packet.
local LENGTH, PREFIX, parse, body_length = H.LENGTH, H.PREFIX, H.parse, H.body_length
local CLOSE, has = H.CLOSE, H.has
local NO_KEY_BOX = checks.NO_KEY_BOX
local prefix, suite, form, perturbation =
  checks.prefix, checks.suite, checks.stream_form, checks.perturbation

-- What is known of the place of the next record in its direction.
local FIRST, PERHAPS_FIRST, NEXT, UNKNOWN, FAILED, CLOSED, DONE =
  "first", "perhaps first", "next", "unknown", "failed", "closed", "done"
M.NEXT = NEXT

local Stream = {}
Stream.__index = Stream

-- A finding on a record that begins at stream offset start, so far without what it says.
function Stream:found(stamp, header, bytes, start, came)
  -- Eight fields from the start: a table that grows is made several times.
  local finding = {
    frame = stamp.frame, direction = self.direction, header = header, note = nil,
    bytes = bytes, start = start, came = came, size = nil,
  }
  if stamp.time then finding.time = stamp.time end
  return finding
end

-- direction has to_acceptor(header) and settle(header); table is that of the destination.
function M.new(env, table, direction)
  local self = setmetatable({
    env = env, table = table, direction = direction,
    place = PERHAPS_FIRST,
    buffer = "",        -- bytes not judged yet
    chunks = nil,       -- more of them, not joined yet
    size = 0,           -- of both
    need = 0,           -- bytes without which nothing can be said
    at = 0,             -- stream offset of the buffer
    came = nil,         -- the frame that all of the buffer came in, if it is one
    skip = 0,           -- bytes to pass over to the end of a record captured in part
    queue = {}, queued = 0,
  }, Stream)
  self.peer = self
  return self
end

-- The stream begins here: its SYN was captured.
function Stream:begin()
  if self.place == PERHAPS_FIRST and not self.fed then self.place = FIRST end
end

-- Judge what the next piece of the stream, which came in a frame, completes; findings are
-- added to out.
function Stream:feed(kind, value, offset, came, stamp, out)
  self.fed = true
  if self.place == DONE then return end
  if self.waiting then
    self.queued = self.queued + 1
    self.queue[self.queued] = { kind, value, offset, came, stamp }
  else
    self:take(kind, value, offset, came, stamp, out)
  end
end

-- Go on, if the token waited for has come.
function Stream:proceed(out)
  if not self.waiting or self:awaits_token() then return end
  local stamp = self.waiting
  self.waiting = nil
  self:steps(stamp, out)
  local queue, queued = self.queue, self.queued
  self.queue, self.queued = {}, 0
  for i = 1, queued do
    local piece = queue[i]
    self:feed(piece[1], piece[2], piece[3], piece[4], piece[5], out)
  end
end

-- Judge without the token waited for.
function Stream:give_up_waiting(out)
  self.gave_up_waiting = true
  self:proceed(out)
end

function Stream:take(kind, value, offset, came, stamp, out)
  if kind == "data" then
    if self.size == 0 then
      self.buffer, self.at, self.came = value, offset, came
    else
      if came ~= self.came then self.came = nil end
      self.chunks = self.chunks or { self.buffer }
      self.chunks[#self.chunks + 1] = value
    end
    self.size = self.size + #value
    self:steps(stamp, out)
  elseif kind == "missing" then
    self:lose(value, stamp, out)
  else
    self:ended(stamp, out)
  end
end

-- The bytes at hand, joined.
function Stream:data()
  if self.chunks then self.buffer, self.chunks = table.concat(self.chunks), nil end
  return self.buffer
end

-- Drop the first n bytes.
function Stream:drop(n)
  local size = self.size
  if n >= size then
    n, self.buffer = size, ""
  else
    self.buffer = self:data():sub(n + 1)
  end
  self.chunks = nil
  self.at, self.size, self.need = self.at + n, size - n, 0
end

function Stream:awaits_token()
  local peer = self.peer
  return not peer.first_token and not (peer.first_lost or self.gave_up_waiting)
end

function Stream:steps(stamp, out)
  while self.size >= self.need do
    local finding = self:step(stamp)
    if not finding then return end
    out[#out + 1] = finding
  end
end

-- n bytes are needed to go on.
function Stream:wait_for(n)
  self.need = n
end

-- Judge one record if enough of it is there to do so.
function Stream:step(stamp)
  local place, size = self.place, self.size
  if place == CLOSED and size > 0 then
    local finding = self:found(stamp, nil, self:data(), self.at, self.came)
    finding.verdict = "SEQUENCE"
    self:done()
    return finding
  end
  if place == DONE then return self:drop(size) end
  if self.skip > 0 then
    local passed = math.min(self.skip, self.size)
    self.skip = self.skip - passed
    self:drop(passed)
  end
  if self.searching and not self:find_header() then return end
  if not self.header then
    if self.size < PREFIX then return self:wait_for(PREFIX) end
    local data = self.chunks and self:data() or self.buffer
    local verdict, earlier = prefix(data, 1), nil
    if verdict == "MAGIC" and place == PERHAPS_FIRST then
      -- The capture begins inside a record.
      self.place, self.first_lost, self.searching = UNKNOWN, true, true
      return self:step(stamp)
    end
    local header = self.size >= LENGTH and parse(data, 1) or nil
    if not verdict then
      if not header then return self:wait_for(LENGTH) end
      verdict, earlier = self:check(header, stamp)
      if self.waiting then return end
    end
    if verdict then return self:fail(verdict, header, stamp, earlier) end
    self.header = header
  end
  return self:complete(stamp)
end

-- Drop all before the next header that passes checks 2 to 8.
function Stream:find_header()
  local data, at, found = self:data(), 1, false
  while true do
    local hit = data:find(H.MAGIC, at, true)
    if not hit then
      at = math.max(at, #data - #H.MAGIC + 2)
      break
    end
    at = hit
    if #data - at + 1 < LENGTH then break end
    local header = parse(data, at)
    if not prefix(data, at) and not self:check_form(header) and not self:check_key(header) then
      found = true
      break
    end
    at = at + 1
  end
  self:drop(at - 1)
  self.searching = not found
  return found
end

-- Checks 4 to 7.
function Stream:check_form(header)
  return suite(header) or form(header, self.direction:to_acceptor(header)) or perturbation(header)
end

-- Check 8, and what of SEQUENCE holds at any place.
function Stream:check_key(header)
  local box = self.env.box()
  if not box then return end
  return checks.kid(header, box) or (header.session == 0 and "SEQUENCE" or nil)
end

-- Checks 4 to 12, as many as apply; sets waiting if they cannot be made yet.
function Stream:check(header, stamp)
  local verdict = self:check_form(header)
  if verdict then
    self.first_lost = true
    return verdict
  end
  self.direction:settle(header)
  if self.place == FIRST then self.first_token = H.token(header) end
  if not self.env.box() then return end
  self.receiver = self.receiver
    or stream.new(self.env, self.table, self.direction:to_acceptor(header))
  if (self.place == FIRST or self.place == PERHAPS_FIRST) and has(header, H.BOUND) then
    if self:awaits_token() then
      self.waiting = stamp
      return
    end
    local token = self.peer.first_token
    if not token and (self.peer.fed or self.peer.place ~= FIRST) then
      -- Something was sent; without the token the record cannot be opened.
      token, self.unbound = "", true
    end
    if token then self.receiver:sent_first(token) end
  end
  if self.place == FIRST or self.place == NEXT then return self.receiver:check(header, stamp) end
  return self:check_key(header)
end

-- Open the record whose header is there, when its body is.
function Stream:complete(stamp)
  local header = self.header
  local length = LENGTH + body_length(header)
  if self.size < length then return self:wait_for(length) end
  local record, start, came = self.chunks and self:data() or self.buffer, self.at, self.came
  if #record > length then record = record:sub(1, length) end
  self:drop(length)
  self.header = nil
  local finding = self:found(stamp, header, record, start, came)
  self:open(finding, header, record, stamp)
  return finding
end

-- Judge a whole record; what there is to say goes into the finding.
function Stream:open(finding, header, record, stamp)
  local receiver = self.receiver
  if not receiver then return self:unverified(finding, header, stamp, nil, NO_KEY_BOX) end
  local body = record:sub(LENGTH + 1)
  if self.place == PERHAPS_FIRST then
    local first, why = self:opens_as_first(header, body)
    if why then return self:unverified(finding, header, stamp, nil, why) end
    if first then
      self.place, self.first_token = FIRST, H.token(header)
      local verdict, earlier = receiver:check(header, stamp)
      if verdict then return self:failed(finding, verdict, earlier) end
    else
      self.place, self.first_lost = UNKNOWN, true
    end
  end
  local note = "the record before was not captured"
  if self.place == FAILED then
    note = "the receiver stopped at an earlier record"
  elseif self.place == FIRST or self.place == NEXT then
    if not self.unbound then
      local plaintext, verdict, detail = receiver:open(header, body, stamp)
      if plaintext then
        self.place = has(header, CLOSE) and CLOSED or NEXT
        finding.verdict, finding.plaintext = "OK", plaintext
        return
      end
      if not verdict then return self:unverified(finding, header, stamp, nil, detail) end
      return self:failed(finding, verdict, detail)
    end
    self.unbound = false
    note = "the initiator's first record was not captured"
  end
  local epoch, why = self.env.epoch(self.env.box(), header)
  if not epoch then return self:unverified(finding, header, stamp, nil, why) end
  self:unverified(finding, header, stamp, epoch:decrypt(header, body), note)
end

-- Whether the token says that this is the first record of its direction; or nil and why
-- that cannot be told.
function Stream:opens_as_first(header, body)
  local chain = ""
  if header.counter ~= 0 then return false end
  if has(header, H.BOUND) then
    chain = self.peer.first_token
    if not chain then return false end
  end
  local epoch, why = self.env.epoch(self.env.box(), header)
  if not epoch then return nil, why end
  local _, verdict = epoch:open(header, body, chain)
  return verdict ~= "AUTH"
end

-- A whole record without a verdict; the next one follows it.
function Stream:unverified(finding, header, stamp, plaintext, note)
  if self.place == FAILED then
    self.searching = true
  elseif has(header, CLOSE) then
    self:done()
  else
    self.place = NEXT
    if self.receiver then self.receiver:resume(header, stamp) end
  end
  finding.note = note
  if plaintext then finding.plaintext = plaintext end
end

-- The one verdict other than OK that the direction gets.
function Stream:failed(finding, verdict, earlier)
  self.place, self.searching = FAILED, true
  finding.verdict, finding.earlier = verdict, earlier
end

-- The finding on a record, the bytes of which are still in the buffer.
function Stream:fail(verdict, header, stamp, earlier)
  local bytes = header and header.raw or self:data()
  local finding = self:found(stamp, header, bytes, self.at, self.came)
  self:failed(finding, verdict, earlier)
  local known = checks.NUMBER[verdict] >= checks.NUMBER.KID
  self:drop(known and LENGTH or 1)
  return finding
end

-- Pass over length bytes that were not captured.
function Stream:lose(length, stamp, out)
  if self.place == CLOSED or self.place == DONE then return end
  local header, at_hand = self.header, self.size
  if header then
    self.skip = LENGTH + body_length(header) - at_hand
    if self.place ~= FAILED then
      local finding = self:found(stamp, header, self:data(), self.at, self.came)
      finding.note = "a part of it was not captured"
      out[#out + 1] = finding
    end
  end
  self.header = nil
  self:drop(self.size)
  if length > self.skip or self.searching then
    self.skip, self.searching = 0, true
  else
    self.skip = self.skip - length
  end
  if not self.first_token then self.first_lost = true end
  if self.place ~= FAILED then self.place = UNKNOWN end
end

-- Judge TCP's FIN.
function Stream:ended(stamp, out)
  local place = self.place
  local judged = place == FAILED or place == CLOSED or place == DONE
  -- Behind a gap the CLOSE may have been in it, unless a record is cut in two.
  local sure = place == FIRST or place == NEXT or self.header
  if self.env.box() and not judged and sure and not self.searching then
    local finding = self:found(stamp, self.header, self:data(), self.at, self.came)
    finding.verdict = "TRUNCATED"
    out[#out + 1] = finding
  end
  self:done()
end

function Stream:done()
  self.place, self.header = DONE, nil
  self:drop(self.size)
  self.queue, self.queued = {}, 0
end

return M
