-- SPDX-License-Identifier: GPL-2.0-or-later
-- 32-bit words for Lua 5.2 (bit32) and Lua 5.3+ (native operators), from one source.
--
-- Native operators do not parse in Lua 5.2, and bit32 is gone from Lua 5.4, so code
-- that must be fast is written with macros and compiled at load time:
--   XOR(a, b, ...)  AND(a, b)  NOT(a)  SHR(a, n)  ROL(a, n)
--   ADD(a, b, ...)          sum, for use as an operand of the above only
--   MOD(a)                  what ADD gave, brought back to 32 bits
--   SPLIT(x, a, b, c, d);   a statement: the four bytes of x, highest first; x is lost
--   HALVES(x, h, l);        a statement: the two 16-bit halves of x
-- Arguments are simple expressions: they may hold brackets, but no further macro that
-- is a statement.

local use = ...
if not use then return end -- Wireshark also runs each .lua file of a plugin folder by itself

local M = {}

local bit32 = rawget(_G, "bit32")
local concat = table.concat

local function operator(symbol)
  return function(args) return "(" .. concat(args, symbol) .. ")" end
end

local function call(name)
  return function(args) return name .. "(" .. concat(args, ",") .. ")" end
end

local function form(text)
  return function(args)
    return (text:gsub("%$(%d)", function(i) return "(" .. args[tonumber(i)] .. ")" end))
  end
end

local function statement(text)
  return function(args)
    return (text:gsub("%$(%d)", function(i) return args[tonumber(i)] end))
  end
end

local macros
if bit32 then
  -- bit32 takes its operands modulo 2^32, and a call costs more than arithmetic does.
  macros = {
    XOR = call("bxor"), AND = call("band"), NOT = call("bnot"),
    SHR = call("rshift"), ROL = call("lrotate"),
    ADD = operator("+"), MOD = form("($1%4294967296)"),
    SPLIT = statement("$5=$1%256 $1=($1-$5)/256 $4=$1%256 $1=($1-$4)/256 $3=$1%256 $2=($1-$3)/256"),
    HALVES = statement("$3=$1%65536 $2=($1-$3)/65536"),
  }
else
  macros = {
    XOR = operator("~"), AND = operator("&"), NOT = form("(~$1&0xffffffff)"),
    SHR = form("($1>>$2)"), ROL = form("(($1<<$2|($1&0xffffffff)>>(32-$2))&0xffffffff)"),
    ADD = operator("+"), MOD = form("($1&0xffffffff)"),
    SPLIT = statement("$2=$1>>24 $3=$1>>16&255 $4=$1>>8&255 $5=$1&255"),
    HALVES = statement("$2=$1>>16 $3=$1&65535"),
  }
end

-- The arguments between the brackets of a macro call, split at its own commas.
local function arguments(text)
  local args, depth, start = {}, 0, 1
  for at = 1, #text do
    local c = text:sub(at, at)
    if c == "(" or c == "[" then
      depth = depth + 1
    elseif c == ")" or c == "]" then
      depth = depth - 1
    elseif c == "," and depth == 0 then
      args[#args + 1] = text:sub(start, at - 1)
      start = at + 1
    end
  end
  args[#args + 1] = text:sub(start)
  return args
end

local function expand(source)
  return (source:gsub("(%f[%w]%u+)(%b())", function(name, brackets)
    local macro = macros[name]
    if not macro then return end
    return macro(arguments(expand(brackets:sub(2, -2))))
  end))
end

local prelude = bit32 and [[
local bxor, band, bnot, rshift, lrotate = bxor, band, bnot, rshift, lrotate
]] or ""
local environment = setmetatable({}, { __index = bit32 })
for _, name in ipairs { "string", "table" } do environment[name] = _G[name] end

-- Compile source, in which macros stand for operators, and run it with the arguments
-- that follow name; returns what it returns.
function M.compile(source, name, ...)
  return assert(load(prelude .. expand(source), "=nst." .. name, "t", environment))(...)
end

local ops = M.compile([[
local M = {}
function M.xor(a, b) return XOR(a, b) end
function M.band(a, b) return AND(a, b) end
return M
]], "bits")

M.xor, M.band = ops.xor, ops.band

-- Big-endian word at position at (1-based) of string s.
function M.word(s, at)
  local a, b, c, d = s:byte(at, at + 3)
  return a * 16777216 + b * 65536 + c * 256 + d
end

local char = string.char
local floor = math.floor

-- Four big-endian bytes of a word.
function M.bytes(w)
  local d = w % 256
  w = floor(w / 256)
  local c = w % 256
  w = floor(w / 256)
  return char(floor(w / 256), w % 256, c, d)
end

-- XOR of two strings of the same length, for a few bytes.
function M.xor_strings(a, b)
  local out = {}
  for i = 1, #a do out[i] = char(ops.xor(a:byte(i), b:byte(i))) end
  return concat(out)
end

return M
