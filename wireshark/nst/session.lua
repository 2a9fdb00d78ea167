-- SPDX-License-Identifier: GPL-2.0-or-later
-- What is known of the capture that is being dissected. Verdicts are reached once, when
-- a frame is first seen, and kept by frame: Wireshark dissects frames again, in any order.

local use = ...
if not use then return end

local H = use("header")
local observer = use("observer")
local suite = use("suite")
local M = {}

local CACHED_EPOCHS = 64 -- in each of two generations

local Session = {}
Session.__index = Session

-- An endpoint is "address port", in a string.
local function address(endpoint)
  return endpoint:match("^%S+")
end

function M.endpoint(addr, port)
  return tostring(addr) .. " " .. port
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
  self.results = {}                         -- by frame and place
  self.conversations = {}                   -- "tcp N" or "udp N" to { index, ... }
  self.conversation_list = {}
  self.epoch_numbers, self.epochs = {}, 0   -- session and key parameters to number
  self.young, self.old, self.young_count = {}, {}, 0
  self.verified = {}                        -- kid to whether a record verified under it
end

-- The derived keys for a header, or nil and why not.
function Session:epoch_keys(box, header)
  local settings = self.settings
  if not settings.decrypt then return nil, "decryption is switched off" end
  if H.body_length(header) > settings.limit then return nil, "over the limit for decryption" end
  local id = header.epoch
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

-- The conversation, made if it is new; kind is "tcp" or "udp", id Wireshark's number.
function Session:conversation(kind, id)
  local key = kind .. id
  local found = self.conversations[key]
  if not found then
    found = { kind = kind, id = id }
    self.conversations[key] = found
  end
  return found
end

-- Number the conversation, once it has turned out to be NST.
function Session:number(conversation)
  if not conversation.index then
    local list = self.conversation_list
    conversation.index = #list
    list[#list + 1] = conversation
    conversation.findings = {}
  end
end

-- Complete a finding for showing, and keep it with its conversation.
function Session:note(finding, conversation)
  local header = finding.header
  finding.conversation = conversation
  if header then
    local number = self.epoch_numbers[header.epoch]
    if not number then
      number = self.epochs
      self.epoch_numbers[header.epoch], self.epochs = number, number + 1
    end
    finding.epoch = number
    if finding.verdict == "OK" then
      self.verified[header.kid] = true
    elseif finding.verdict == "AUTH" then
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

return M
