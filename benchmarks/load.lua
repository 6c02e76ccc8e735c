-- Makes wrk say what it measured in JSON and, where BENCH_PREFIX is set, create users.

local prefix = os.getenv("BENCH_PREFIX")

if prefix then
  local count = 0
  local path = os.getenv("BENCH_PATH")
  local headers = {["Content-Type"] = "application/json"}
  local body = '{"username":"%s","email":"%s@example.com","first_name":"First","last_name":"Last","age":30}'
  request = function()
    count = count + 1
    local name = prefix .. count
    return wrk.format("POST", path, headers, string.format(body, name, name))
  end
end

done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\nJSON {"requests": %d, "seconds": %f, "failed": %d, "p50": %f, "p99": %f}\n',
    summary.requests, summary.duration / 1e6, failed,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
