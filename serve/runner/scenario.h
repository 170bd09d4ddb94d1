// How queries come to the model, in the terms of MLPerf Inference (Reddi et al., "MLPerf Inference
// Benchmark", ISCA 2020, section 4.1; LoadGen's documentation):
//
//   SingleStream  one input a query, issued when the previous query is done
//   MultiStream   several inputs a query, issued when the previous query is done
//   Offline       all queries are there at the start; the workers empty the queue
//   Server        queries arrive by a Poisson process, whether or not the earlier ones are done
//
// The latency of a query runs from when it was due, which in the Server scenario is when it was
// scheduled to arrive: what waits in the queue is not forgotten (no coordinated omission).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "crew.h"
#include "runtime.h"

namespace shipworthy {

enum class Scenario { kSingleStream, kMultiStream, kOffline, kServer };

const char* Name(Scenario scenario);

// What is timed and for how long. A loop ends after at least `min_runs` queries and `min_ns`
// nanoseconds, or as soon as it has had `max_runs` queries or `max_ns` nanoseconds.
struct Load {
  Scenario scenario = Scenario::kSingleStream;
  std::vector<std::string> cases;  // one a worker: its inputs
  std::int64_t warmup = 10;        // inferences of each worker
  std::int64_t min_runs = 100;
  std::int64_t max_runs = 10000;
  std::int64_t min_ns = 0;
  std::int64_t max_ns = 10'000'000'000;
  std::int64_t inputs = 1;        // a query; MultiStream only
  std::int64_t gap_ns = 0;        // mean time between arrivals; Server only
  std::int64_t seed = 0;          // of the arrivals; Server only
  std::int64_t keep = 1'000'000;  // latencies to keep
};

// What a load took.
struct Timings {
  std::vector<std::int64_t> latencies_ns;  // query by query, every `stride`-th from the first on
  std::vector<std::int64_t> arrivals_ns;   // of the same queries, after the start; Server only
  std::int64_t stride = 1;
  std::int64_t queries = 0;   // done
  std::int64_t unserved = 0;  // arrived, but not begun before max_ns; Server only
  std::int64_t wall_ns = 0;   // from the first query's start to the last one's end
  std::int64_t cpu_ns = 0;
};

// Keeps a number of values that is bounded, spread evenly over all that were added: whenever it is
// full it drops every second one, and from then on takes half as many.
class Thinned {
 public:
  explicit Thinned(std::int64_t most);
  void Add(std::int64_t value);
  std::int64_t count() const { return count_; }    // added
  std::int64_t stride() const { return stride_; }  // every so many-th of them is kept
  std::vector<std::int64_t> Take() { return std::move(values_); }

 private:
  const std::size_t most_;
  std::vector<std::int64_t> values_;
  std::int64_t count_ = 0;
  std::int64_t stride_ = 1;
};


// Warms every worker up, then times the load. SingleStream takes a crew of one.
Timings RunLoad(const Load& load, Crew& crew, const std::vector<Session*>& sessions);

}  // namespace shipworthy
