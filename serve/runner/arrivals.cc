#include "arrivals.h"

namespace shipworthy {
namespace {

// An exponential variate of mean 2^32, by von Neumann's comparisons ("Various techniques used in
// connection with random digits", 1951): of uniform numbers as long as they fall, a run of odd
// length is taken with its first number as the fraction; each run of even length adds one. No
// logarithm is needed, whose last bit differs between C libraries.
std::uint64_t Exponential(Words& words) {
  for (std::uint64_t whole = 0;; ++whole) {
    const std::uint64_t first = words.Next();
    std::uint64_t last = first;
    bool odd = true;
    for (std::uint64_t next = words.Next(); next < last; next = words.Next()) {
      last = next;
      odd = !odd;
    }
    if (odd) return (whole << 32) + (first >> 32);
  }
}

}  // namespace

std::uint64_t Words::Next() {
  state_ += 0x9e3779b97f4a7c15;
  std::uint64_t word = state_;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return word ^ (word >> 31);
}

std::vector<std::int64_t> PoissonArrivals(std::uint64_t seed, std::int64_t gap_ns,
                                          std::int64_t min_count, std::int64_t max_count,
                                          std::int64_t min_ns) {
  Words words(seed);
  std::vector<std::int64_t> arrivals;
  std::int64_t now = 0;
  std::uint64_t fraction = 0;  // of a nanosecond, in 2^-32, so that short gaps are not rounded away
  for (std::int64_t count = 0; count < max_count; ++count) {
    if (count >= min_count && now >= min_ns) break;
    // A gap of up to 2^20 means fits: (2^20 * 2^32) * (gap_ns < 2^40) stays below 2^92.
    const auto gap = static_cast<unsigned __int128>(Exponential(words)) *
                         static_cast<std::uint64_t>(gap_ns) + fraction;
    now += static_cast<std::int64_t>(gap >> 32);
    fraction = static_cast<std::uint64_t>(gap) & 0xffffffff;
    arrivals.push_back(now);
  }
  return arrivals;
}

}  // namespace shipworthy
