-- SPDX-License-Identifier: GPL-2.0-or-later
-- The short way to what there is to say of most segments where there is no key box: one record, the
-- next of its stream, that passes the checks that need no key. What observed_stream.lua would
-- come to in ten times as many steps.

local use = ...
if not use then return end

local H = use("header")
local checks = use("checks")

local NEXT = use("observed_stream").NEXT
local prefix = checks.prefix
local LENGTH, CLOSE, body_length, has, view = H.LENGTH, H.CLOSE, H.body_length, H.has, H.view

-- Head, if it is the header of a record that these length bytes are, and there is no more to
-- say of it than that there is no key box; nil, and nothing done, if they are for stream:feed().
return function(stream, head, length)
  if stream.place ~= NEXT or stream.size > 0 or stream.searching or stream.skip > 0
    or stream.receiver or stream.env.box() or prefix(head, 1) then
    return
  end
  local header = view(head)
  if stream:check_form(header) or has(header, CLOSE) or length ~= LENGTH + body_length(header) then
    return
  end
  return head
end
