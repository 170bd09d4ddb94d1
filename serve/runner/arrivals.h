// When the queries of the Server scenario arrive.
#pragma once

#include <cstdint>
#include <vector>

namespace shipworthy {

// Pseudorandom words: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
// generators", OOPSLA 2014). The same seed gives the same words everywhere.
class Words {
 public:
  explicit Words(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next();

 private:
  std::uint64_t state_;
};

// When queries arrive, in nanoseconds after the start, ascending: a Poisson process of one query
// every `gap_ns` on average. It ends once there are `min_count` queries and the last arrives no
// earlier than `min_ns`, or with `max_count` queries.
//
// Only integers are reckoned with, so that a seed gives the same arrivals on any machine; the
// standard library's distributions promise no such thing.
std::vector<std::int64_t> PoissonArrivals(std::uint64_t seed, std::int64_t gap_ns,
                                          std::int64_t min_count, std::int64_t max_count,
                                          std::int64_t min_ns);

}  // namespace shipworthy
