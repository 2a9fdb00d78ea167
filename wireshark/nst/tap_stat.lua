-- SPDX-License-Identifier: GPL-2.0-or-later
-- `tshark -z nst,stat`, and the menu Tools > NST > Statistics.

local use = ...
if not use then return end

local H = use("header")
local taps = use("taps")

local WIDTH, INDENT = 52, 14 -- of lists, and before them

local function add(counts, key, n)
  counts[key] = (counts[key] or 0) + (n or 1)
end

-- "a (3), b (1)": the most frequent first, or by key if the keys are numbers. Lines are
-- broken where the window of the menu would break them.
local function listed(counts)
  local keys = {}
  for key in pairs(counts) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == "number" then return a < b end
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return a < b
  end)
  local out, width = "", 0
  for i, key in ipairs(keys) do
    local word = ("%s (%d)%s"):format(key, counts[key], i < #keys and "," or "")
    if width > 0 and width + #word >= WIDTH then
      out, width = out .. "\n" .. (" "):rep(INDENT), 0
    elseif width > 0 then
      word = " " .. word
    end
    out, width = out .. word, width + #word
  end
  return out ~= "" and out or "none"
end

local function new()
  return { records = { 0, 0 }, bytes = { 0, 0 }, suites = {}, kids = {}, epochs = {},
    verdicts = {}, epoch_count = 0 }
end

-- Count one finding; way is 1 for there, 2 for back.
local function count(session, sums, finding, way)
  local header = finding.header and H.view(finding.header)
  local verdict = finding.verdict or "unverified"
  add(sums.verdicts, verdict)
  sums.records[way] = sums.records[way] + 1
  sums.bytes[way] = sums.bytes[way] + (finding.plaintext and #finding.plaintext or 0)
  -- What is no record has neither suite nor kid.
  if not header or verdict == "MAGIC" or verdict == "VERSION" then return end
  local suite = H.SUITES[header.cipher_id]
  add(sums.suites, suite and suite.name or ("cipher " .. header.cipher_id))
  add(sums.kids, header.kid)
  local epoch = session:epoch_number(header)
  if not sums.epochs[epoch] then
    sums.epochs[epoch] = true
    sums.epoch_count = sums.epoch_count + 1
  end
end

local function lines(out, sums)
  for way, arrow in ipairs { "->", "<-" } do
    out[#out + 1] = ("    %s %8d records %12d bytes of payload"):format(
      arrow, sums.records[way], sums.bytes[way])
  end
  out[#out + 1] = "    suites    " .. listed(sums.suites)
  out[#out + 1] = "    kids      " .. listed(sums.kids)
  out[#out + 1] = "    epochs    " .. sums.epoch_count
  out[#out + 1] = "    verdicts  " .. listed(sums.verdicts)
end

-- The statistics as text.
local function report(session)
  local total, body = new(), {}
  for _, conversation in ipairs(session.conversation_list) do
    local sums = new()
    for finding in session.findings(conversation) do
      local way = finding.direction.src == conversation.there.src and 1 or 2
      count(session, sums, finding, way)
      count(session, total, finding, way)
    end
    body[#body + 1] = ""
    body[#body + 1] = taps.title(conversation)
    lines(body, sums)
  end
  local out = { ("NST statistics: %d conversations, %d records"):format(
    #session.conversation_list, total.records[1] + total.records[2]) }
  lines(out, total)
  for _, line in ipairs(body) do out[#out + 1] = line end
  return table.concat(out, "\n") .. "\n"
end

return function(session)
  taps.register(session, "nst,stat", "Statistics", nil, function() return report(session) end)
end
