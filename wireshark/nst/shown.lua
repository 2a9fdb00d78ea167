-- SPDX-License-Identifier: GPL-2.0-or-later
-- The short way to the finding on most segments where there is no key box: one record, the
-- next of its stream, that passes the checks that need no key. What observed_stream.lua would
-- come to in ten times as many steps.

local use = ...
if not use then return end

local H = use("header")
local checks = use("checks")

local NEXT, NO_KEY_BOX = use("observed_stream").NEXT, checks.NO_KEY_BOX
local prefix = checks.prefix
local LENGTH, CLOSE, body_length, has, view = H.LENGTH, H.CLOSE, H.body_length, H.has, H.view

-- The finding on length bytes, the first 48 of which are head and all of which came in this
-- frame; nil, and nothing done, if they are for stream:feed().
return function(stream, head, length, frame)
  if stream.place ~= NEXT or stream.size > 0 or stream.searching or stream.skip > 0
    or stream.receiver or stream.env.box() or prefix(head, 1) then
    return
  end
  local header = view(head)
  if stream:check_form(header) or has(header, CLOSE) or length ~= LENGTH + body_length(header) then
    return
  end
  return { frame = frame, direction = stream.direction, header = header, note = NO_KEY_BOX }
end
