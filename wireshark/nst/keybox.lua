-- SPDX-License-Identifier: GPL-2.0-or-later
-- The key box and its file format (specification, section 4).

local use = ...
if not use then return end

local M = {}

local LINE = "^[ \t]*(%d%d?%d?%d?%d?)[ \t]+(%x+)[ \t]*$"

local function unhex(hex)
  return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- One line: kid and key, or nothing for a blank one; or nil, nil and what is wrong.
local function parse_line(line)
  if line:find("[\128-\255]") then return nil, nil, "not ASCII" end
  if line:find("\r", 1, true) then return nil, nil, "stray carriage return" end
  local content = line:gsub("#.*$", "")
  if content:find("^[ \t]*$") then return end
  local kid, hex = content:match(LINE)
  if not kid or #hex ~= 64 then return nil, nil, "expected '<kid> <64 hex digits>'" end
  kid = tonumber(kid)
  if kid > 65535 then return nil, nil, ("kid %d is over 65535"):format(kid) end
  return kid, unhex(hex)
end

-- The box in text, { keys = by kid, count = }; or nil and an error that names the line.
function M.parse(text, name)
  local keys, count, number, at = {}, 0, 0, 1
  repeat
    number = number + 1
    local ending = text:find("\n", at, true)
    local line = text:sub(at, (ending or #text + 1) - 1)
    if ending then line, at = line:gsub("\r$", ""), ending + 1 end
    local kid, key, err = parse_line(line)
    if kid and keys[kid] then err = ("kid %d is there already"):format(kid) end
    if err then return nil, ("%s:%d: %s"):format(name, number, err) end
    if kid then keys[kid], count = key, count + 1 end
  until not ending
  if count == 0 then return nil, ("%s:%d: no key in the whole file"):format(name, number) end
  return { keys = keys, count = count }
end

-- A key box that follows a file. Its box is nil if there is none, err says why.
local Watched = {}
Watched.__index = Watched

function M.watch()
  return setmetatable({ path = "" }, Watched)
end

-- Take path ("" for no key box) and look at it.
function Watched:set(path)
  if path == self.path then return self:refresh() end
  self.path, self.text, self.box, self.err = path, nil, nil, nil
  return self:refresh()
end

-- Read the file again; true if what it gives has changed. A file that has become bad
-- leaves the box that was there, as a receiver's would be.
function Watched:refresh()
  if self.path == "" then return false end
  self.checked = os.time()
  local file, reason = io.open(self.path, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  if not text then
    local err = reason or ("%s: cannot be read"):format(self.path)
    local changed = err ~= self.err
    self.err, self.text = err, nil
    return changed
  end
  if text == self.text then return false end
  self.text = text
  local box, err = M.parse(text, self.path)
  self.box, self.err = box or self.box, err
  return true
end

-- As refresh, at most once a second.
function Watched:poll()
  if self.path == "" or self.checked == os.time() then return false end
  return self:refresh()
end

return M
