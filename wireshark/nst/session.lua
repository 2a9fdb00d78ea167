-- SPDX-License-Identifier: GPL-2.0-or-later
-- What is known of the capture that is being dissected. Verdicts are reached once, when
-- a frame is first seen, and kept by frame: Wireshark dissects frames again, in any order.

local use = ...
if not use then return end

local H = use("header")
local observer = use("observer")
local suite = use("suite")
local M = {}

local view, NO_KEY_BOX = H.view, use("checks").NO_KEY_BOX
local CACHED_EPOCHS = 64 -- in each of two generations

local Session = {}
Session.__index = Session

-- An endpoint is "address port", in a string.
local function address(endpoint)
  return endpoint:match("^%S+")
end

function M.new(settings)
  local self = setmetatable({ settings = settings }, Session)
  self.env = {
    box = function() return settings:box() end,
    epoch = function(box, header) return self:epoch_keys(box, header) end,
  }
  return self
end

-- Forget everything: another capture, or the same one from the start.
function Session:reset()
  self.env.window = self.settings.window
  self.observer = observer.new(self.env, address)
  self.datagrams, self.segments = {}, {}    -- results by frame
  self.conversations = { tcp = {}, udp = {} } -- by Wireshark's number
  self.conversation_list = {}               -- those that are NST
  self.epoch_numbers, self.epochs = {}, 0   -- session, then key parameters, to number
  self.last_session, self.last_params = nil, nil -- of the last header numbered
  self.young, self.old, self.young_count = {}, {}, 0
  self.blind, self.first, self.last = false, nil, nil
  self.verified = {}                        -- kid to whether a record verified under it
end

-- Whether the packet is to be judged: it is seen for the first time.
--
-- Where a capture is loaded without packet trees (wiregasm does that), fields cannot be
-- read the first time. Then packets are judged in the next pass, from wherever it begins.
function Session:fresh(pinfo, readable)
  if not readable then
    self.blind = true
    return false
  end
  if not self.blind then return not pinfo.visited end
  local number = pinfo.number
  if self.first and number < self.first then
    self:reset()
    self.blind = true
  end
  self.first = self.first or number
  if number < (self.last or 0) then return false end
  self.last = number
  return true
end

-- The derived keys for a header, or nil and why not.
function Session:epoch_keys(box, header)
  local settings = self.settings
  if not settings.decrypt then return nil, "decryption is switched off" end
  if H.body_length(header) > settings.limit then return nil, "over the limit for decryption" end
  local id = H.epoch(header)
  local found = self.young[id]
  if found and found.box == box then return found end
  found = self.old[id]
  if not (found and found.box == box) then
    local backend = settings:backend(header.cipher_id)
    if not backend then
      return nil, "no crypto for " .. H.SUITES[header.cipher_id].name .. " here"
    end
    found = suite.derive(backend, box.keys[header.kid], header)
    found.box = box
  end
  if self.young_count >= CACHED_EPOCHS then
    self.old, self.young, self.young_count = self.young, {}, 0
  end
  self.young[id], self.young_count = found, self.young_count + 1
  return found
end

-- The conversation with Wireshark's number id, made if it is new; kind is "tcp" or "udp".
-- Its ends are remembered: to have Wireshark write addresses costs more than to parse a
-- record. Each end, and each direction of a TCP connection, has the conversation it is of.
function Session:conversation(kind, id, pinfo)
  local found = self.conversations[kind][id]
  if not found then
    local a = tostring(pinfo.src) .. " " .. pinfo.src_port
    local b = tostring(pinfo.dst) .. " " .. pinfo.dst_port
    found = {
      kind = kind, id = id,
      port = pinfo.src_port ~= pinfo.dst_port and pinfo.src_port or nil,
      there = { src = a, dst = b }, back = { src = b, dst = a }, pair = observer.pair(a, b),
    }
    if a == b then found.back = found.there end
    found.there.conversation, found.back.conversation = found, found
    self.conversations[kind][id] = found
  end
  return found
end

-- The direction of the packet in a conversation: { src =, dst = }.
function M.direction(conversation, pinfo)
  local there, port = conversation.there, conversation.port
  if port then return pinfo.src_port == port and there or conversation.back end
  -- Both ports are the same.
  return tostring(pinfo.src) == address(there.src) and there or conversation.back
end

-- Number the conversation, once it has turned out to be NST.
function Session:number(conversation)
  local list = self.conversation_list
  conversation.index = #list
  list[#list + 1] = conversation
  -- A finding each; or the header alone, with the frame in places, negative if it came back.
  conversation.findings, conversation.places = {}, {}
end

-- The number of the header's epoch, by order of appearance.
function Session:epoch_number(header)
  local epochs = self.epoch_numbers[header.session]
  if not epochs then
    epochs = {}
    self.epoch_numbers[header.session] = epochs
  end
  local number = epochs[header.params]
  if not number then
    number = self.epochs
    epochs[header.params], self.epochs = number, number + 1
  end
  return number
end

-- Number the header's epoch, in the order of appearance.
function Session:note_epoch(header)
  if header.params ~= self.last_params or header.session ~= self.last_session then
    self:epoch_number(header)
    self.last_params, self.last_session = header.params, header.session
  end
end

-- Whether of a record that passes the checks without a key no more is to be said than that
-- there is no key box. Such records are kept as their headers, with their conversation:
-- most of what findings cost is the garbage collector's way through them, again and again.
function Session:nothing_to_say()
  return not self.env.box() and not self.settings.watched.err
end

-- The finding on such a record, for a short look.
function Session.unkeyed(raw, frame, direction)
  return { frame = frame, direction = direction, header = raw, note = NO_KEY_BOX }
end

-- Keep such a record.
function Session:note_unkeyed(raw, frame, direction)
  self:note_epoch(view(raw))
  local conversation = direction.conversation
  local findings = conversation.findings
  local n = #findings + 1
  findings[n] = raw
  conversation.places[n] = direction == conversation.there and frame or -frame
end

-- The findings on a conversation, in order, as an iterator.
function Session.findings(conversation)
  local n = 0
  return function()
    n = n + 1
    local finding = conversation.findings[n]
    if type(finding) ~= "string" then return finding end
    local frame = conversation.places[n]
    local direction = frame > 0 and conversation.there or conversation.back
    return Session.unkeyed(finding, math.abs(frame), direction)
  end
end

-- Complete a finding for showing, and keep it with its conversation. Its header is kept as
-- bytes: there may be millions.
function Session:note(finding, conversation)
  local header, verdict, note = finding.header, finding.verdict, finding.note
  -- Expert information on each record would drown the rest where there is no key box.
  if verdict ~= "OK" and note ~= NO_KEY_BOX or self.settings.watched.err then
    finding.expert = true
  end
  if header then
    self:note_epoch(header)
    finding.header = header.raw
    if verdict == "OK" then
      self.verified[header.kid] = true
    elseif verdict == "AUTH" then
      finding.hint = self.verified[header.kid]
        and ("other records verified under kid %d: this one was altered"):format(header.kid)
        or ("nothing has verified under kid %d yet: a wrong key, or altered"):format(header.kid)
    end
    if finding.plaintext then
      finding.crypto = self.settings:backend(header.cipher_id).name
    end
  end
  local findings = conversation.findings
  findings[#findings + 1] = finding
end

-- Judge what is left when the capture has ended; for tshark's taps, which run then.
function Session:finish()
  local findings = {}
  self.observer:finish(findings)
  for _, finding in ipairs(findings) do
    self:note(finding, finding.direction.conversation)
  end
end

return M
