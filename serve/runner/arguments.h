// The command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime.h"
#include "scenario.h"

namespace shipworthy {

// A command line that cannot mean anything: exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

struct CaseFiles {
  std::string name;
  std::vector<std::pair<std::string, std::string>> inputs;   // native name, path
  std::vector<std::pair<std::string, std::string>> outputs;  // native name, path
};

struct Arguments {
  bool describe = false;
  Options options;
  std::vector<CaseFiles> cases;
  std::optional<std::int64_t> rows;
  std::optional<Load> bench;
  std::optional<std::int64_t> start_ns;
};

// Reads argv. An argument "@FILE" stands for the lines of FILE, taken literally.
//
// In NAME=PATH the name ends at the first '='; a name that holds '=', '%' or a line break writes
// them as %3D, %25, %0A. UsageError on anything unknown, missing, doubled or out of range.
Arguments ParseArguments(int argc, char** argv);

}  // namespace shipworthy
