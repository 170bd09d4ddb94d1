// What the bare loops share: the command line, the clock and the output. Nothing of the harness.
//
// Usage: shipworthy-bare-<runtime> MODEL INPUT OUTPUT SIZE,SIZE,... WARMUP RUNS
// One float32 input, one output, one thread. Prints one latency a line, in nanoseconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

struct Job {
  std::string model;
  std::string input;
  std::string output;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
  int warmup;
  int runs;
};

inline Job ReadJob(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: %s MODEL INPUT OUTPUT SIZE,... WARMUP RUNS\n", argv[0]);
    std::exit(2);
  }
  Job job{argv[1], argv[2], argv[3], {}, {}, std::atoi(argv[5]), std::atoi(argv[6])};
  std::size_t elements = 1;
  std::istringstream sizes(argv[4]);
  for (std::string size; std::getline(sizes, size, ',');) {
    job.shape.push_back(std::atoll(size.c_str()));
    elements *= static_cast<std::size_t>(job.shape.back());
  }
  for (std::size_t i = 0; i < elements; ++i) {
    job.values.push_back(static_cast<float>(i % 13) * 0.125F - 0.75F);
  }
  return job;
}

inline void Require(bool fine, const char* what) {
  if (fine) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

// Times `run` and leaves by the shortest way.
template <typename Run>
[[noreturn]] void Loop(const Job& job, Run run) {
  using Clock = std::chrono::steady_clock;
  for (int i = 0; i < job.warmup; ++i) run();
  std::vector<std::int64_t> latencies;
  latencies.reserve(static_cast<std::size_t>(job.runs));
  for (int i = 0; i < job.runs; ++i) {
    const auto begin = Clock::now();
    run();
    const auto end = Clock::now();
    latencies.push_back(std::chrono::nanoseconds(end - begin).count());
  }
  for (const std::int64_t latency : latencies) {
    std::printf("%lld\n", static_cast<long long>(latency));
  }
  std::fflush(stdout);
  std::_Exit(0);
}
