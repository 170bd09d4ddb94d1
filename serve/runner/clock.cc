#include "clock.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "process.h"

namespace shipworthy {

Clock MeasureClock() {
  constexpr int kBatches = 101;
  constexpr int kReadings = 100;  // a batch: long enough that its ends do not count
  Clock clock{std::numeric_limits<std::int64_t>::max(), 0};
  std::vector<std::int64_t> costs;
  for (int batch = 0; batch < kBatches; ++batch) {
    const std::int64_t begin = NowNs();
    std::int64_t last = begin;
    for (int reading = 0; reading < kReadings; ++reading) {
      const std::int64_t now = NowNs();
      if (now > last) clock.resolution_ns = std::min(clock.resolution_ns, now - last);
      last = now;
    }
    costs.push_back((last - begin + kReadings / 2) / kReadings);
  }
  std::nth_element(costs.begin(), costs.begin() + kBatches / 2, costs.end());
  clock.overhead_ns = costs[kBatches / 2];
  return clock;
}

}  // namespace shipworthy
