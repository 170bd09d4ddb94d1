// What one run of the harness found out, and its JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arguments.h"
#include "cases.h"
#include "process.h"
#include "runtime.h"

namespace shipworthy {

struct Timings {
  std::string case_name;
  std::int64_t warmup = 0;
  std::vector<std::int64_t> latencies_ns;
  std::int64_t wall_ns = 0;
  std::int64_t cpu_ns = 0;
};

struct Report {
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  std::vector<CaseResult> cases;
  std::optional<std::int64_t> process_ns;
  std::int64_t load_ns = 0;
  std::optional<std::int64_t> first_ns;
  std::optional<std::int64_t> cold_start_ns;
  std::optional<Timings> bench;
  std::int64_t loaded_rss_bytes = 0;
  Memory memory;
  std::vector<std::string> libraries;
  std::optional<int> threads;
  Settings settings;
};

std::string DescribeJson();
std::string RunJson(const Arguments& arguments, const Report& report);

}  // namespace shipworthy
