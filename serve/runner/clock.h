// How good the clock is that everything is timed with.
#pragma once

#include <cstdint>

namespace shipworthy {

struct Clock {
  std::int64_t resolution_ns = 0;  // the smallest step seen between two readings that differ
  std::int64_t overhead_ns = 0;    // of one reading, the median
};

// Measured in this process; takes about a millisecond.
Clock MeasureClock();

}  // namespace shipworthy
