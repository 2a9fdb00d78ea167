-- SPDX-License-Identifier: GPL-2.0-or-later
-- What the taps have in common: a `-z` argument of tshark, and a menu in Wireshark.

local use = ...
if not use then return end

local M = {}

local function shown(endpoint)
  local address, port = endpoint:match("^(%S+) (%d+)$")
  return (address:find(":", 1, true) and "[" .. address .. "]:" or address .. ":") .. port
end

-- One line that tells which conversation it is.
function M.title(conversation)
  return ("%d  %s  %s -> %s"):format(conversation.index, conversation.kind,
    shown(conversation.there.src), shown(conversation.there.dst))
end

-- Register `-z NAME[,ARGUMENT]` and the menu Tools > NST > LABEL. report(argument) gives
-- the text; the menu asks for the values of questions, which it joins by commas.
function M.register(session, name, label, questions, report)
  local function tap(line)
    local listener = Listener.new("frame", "nst") -- all that is dissected is kept already
    function listener.draw()
      session:finish()
      print(report(line:sub(#name + 2)))
    end
  end
  if not gui_enabled() then
    register_stat_cmd_arg(name, tap)
    return
  end
  local function show(...)
    local window = TextWindow.new("NST: " .. label)
    window:set(report(table.concat({ ... }, ",")))
  end
  register_menu("NST/" .. label, function()
    if questions then
      new_dialog("NST: " .. label, show, table.unpack(questions))
    else
      show()
    end
  end, MENU_TOOLS_UNSORTED)
end

return M
