-- Makes wrk ask for numbers drawn at random or create users, and say in JSON what it measured.
-- BENCH_PREFIX: create users of these names. BENCH_LOW, BENCH_HIGH: what `%d` in BENCH_PATH gets.

local path = os.getenv("BENCH_PATH")
local prefix = os.getenv("BENCH_PREFIX")
local low, high = tonumber(os.getenv("BENCH_LOW")), tonumber(os.getenv("BENCH_HIGH"))

if prefix then
  local count = 0
  local headers = {["Content-Type"] = "application/json"}
  local body = '{"username":"%s","email":"%s@example.com","first_name":"First%d","last_name":"Last%d","age":%d}'
  request = function()
    count = count + 1
    local name = prefix .. count
    return wrk.format("POST", path, headers, string.format(body, name, name, count, count, 18 + count % 60))
  end
elseif low then
  init = function()
    math.randomseed(tonumber(os.getenv("BENCH_SEED")))
  end
  request = function()
    return wrk.format("GET", string.format(path, math.random(low, high)))
  end
else
  wrk.path = path
end

done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\nJSON {"requests": %d, "seconds": %f, "failed": %d, "p50": %f, "p99": %f}\n',
    summary.requests, summary.duration / 1e6, failed,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
