// What one run of the harness found out, and its JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arguments.h"
#include "cases.h"
#include "clock.h"
#include "libraries.h"
#include "process.h"
#include "runtime.h"
#include "scenario.h"

namespace shipworthy {

struct Report {
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  std::vector<CaseResult> cases;
  std::optional<std::int64_t> process_ns;
  std::int64_t load_ns = 0;
  std::optional<std::int64_t> first_ns;
  std::optional<std::int64_t> cold_start_ns;
  std::optional<Timings> bench;
  std::int64_t empty_rss_bytes = 0;
  std::int64_t loaded_rss_bytes = 0;
  Memory memory;
  Clock clock;
  std::vector<Library> libraries;
  std::optional<int> threads;
  Settings settings;
};

std::string DescribeJson();
std::string RunJson(const Arguments& arguments, const Report& report);

}  // namespace shipworthy
