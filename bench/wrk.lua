-- One measurement, ended by time or by count, whichever is first; every answer must have the expected status.
--
-- wrk -t1 … -s wrk.lua URL -- STATUS SECONDS [CREDENTIALS SKIP COUNT]
--
-- CREDENTIALS is a file with one Authorization value a line. Each is sent once: COUNT answers are waited for,
-- beginning with the credential after the first SKIP. Prints one JSON object and leaves: wrk itself would wait
-- until its own time is up, and count that in.

local ffi = require("ffi")
ffi.cdef([[
  typedef struct { long seconds, nanoseconds; } coinslot_time;
  int clock_gettime(int clock, coinslot_time *now);
]])
local MONOTONIC = 1
local time = ffi.new("coinslot_time")

local function now()
  ffi.C.clock_gettime(MONOTONIC, time)
  return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

local function leave(result, code)
  io.write(result .. "\n") -- in one piece: wrk's other thread may be writing its own lines
  io.flush()
  os.exit(code)
end

local expected, limit, count
local answers, first = 0, nil

local function pay_with(file, skip)
  local values, sent = {}, 0
  for value in io.lines(file) do
    values[#values + 1] = value
  end
  function request()
    sent = sent + 1
    if not values[skip + sent] then
      leave('{"error": "the credentials ran out"}', 1)
    end
    return wrk.format(nil, nil, { ["Authorization"] = values[skip + sent] })
  end
end

function init(args)
  expected, limit = tonumber(args[1]), tonumber(args[2])
  count = tonumber(args[5]) or math.huge
  if args[3] then
    pay_with(args[3], tonumber(args[4]))
  end
end

function response(status)
  local at = now()
  if status ~= expected then
    leave(string.format('{"error": "answer %d was %d, not %d"}', answers + 1, status, expected), 1)
  end
  first = first or at
  answers = answers + 1
  if answers >= count or at - first >= limit then
    leave(string.format('{"answers": %d, "seconds": %.6f}', answers, at - first), 0)
  end
end

function done()
  io.write('{"error": "the server stopped answering"}\n')
end
