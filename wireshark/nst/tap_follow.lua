-- SPDX-License-Identifier: GPL-2.0-or-later
-- `tshark -z nst,follow[,N[,text|hex|raw]]`, and the menu Tools > NST > Follow: the
-- plaintext of conversation N (0 if it is not given).

local use = ...
if not use then return end

local taps = use("taps")

local function hex(data)
  return (data:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local FORMS = {}
local QUESTIONS = { "Conversation (0, or as Statistics numbers it)", "Form (text, hex or raw)" }

-- Everything that a terminal would not show as it is becomes a dot.
function FORMS.text(data)
  return (data:gsub("[^\t\n\32-\126]", "."))
end

function FORMS.raw(data)
  return hex(data)
end

function FORMS.hex(data)
  local out = {}
  for at = 1, #data, 16 do
    local row = data:sub(at, at + 15)
    out[#out + 1] = ("%08x  %-47s  %s"):format(
      at - 1, hex(row):gsub("%x%x", "%0 "):sub(1, -2), (row:gsub("[^\32-\126]", ".")))
  end
  return table.concat(out, "\n")
end

-- The plaintext of a conversation as text; what came back is indented by a tab.
local function report(session, argument)
  local number, form = argument:match("^%s*(%d*)%s*,?%s*(%a*)%s*$")
  form = FORMS[form == "" and "text" or form or ""]
  if not form then
    return "nst,follow: expected nst,follow,NUMBER,FORM with FORM text, hex or raw\n"
  end
  local conversation = session.conversation_list[(tonumber(number) or 0) + 1]
  if not conversation then
    return ("nst,follow: there are %d conversations of NST, numbered from 0\n"):format(
      #session.conversation_list)
  end
  local out = { taps.title(conversation) }
  for finding in session.findings(conversation) do
    local indent = finding.direction.src == conversation.there.src and "" or "\t"
    local verdict = finding.verdict or "unverified"
    local plaintext = finding.plaintext
    if verdict ~= "OK" then
      out[#out + 1] = ("%s[%s, frame %d%s]"):format(indent, verdict, finding.frame,
        plaintext and "; what follows is not authentic" or "")
    end
    if plaintext and plaintext ~= "" then
      out[#out + 1] = indent .. form(plaintext):gsub("\n", "\n" .. indent)
    end
  end
  return table.concat(out, "\n") .. "\n"
end

return function(session)
  taps.register(session, "nst,follow", "Follow", QUESTIONS,
    function(argument) return report(session, argument) end)
end
