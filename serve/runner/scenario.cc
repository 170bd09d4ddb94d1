#include "scenario.h"

#include <time.h>

#include <algorithm>
#include <atomic>

#include "arrivals.h"
#include "process.h"

namespace shipworthy {
namespace {

// A thread that sleeps is woken late, so the last part of a wait is spent looking at the clock.
constexpr std::int64_t kWakeNs = 100'000;

// Offline has to know beforehand how many queries there are, for they are all there at the start.
// So the rate is tried out, for this part of the duration...
constexpr std::int64_t kTrialPart = 10;
// ... and the queue is made longer than the rate says, for the rate may be higher later on.
constexpr std::int64_t kTenthsQueued = 15;

void WaitUntil(std::int64_t due) {
  if (due - NowNs() > kWakeNs) {
    const std::int64_t early = due - kWakeNs;
    const timespec until{static_cast<time_t>(early / 1'000'000'000),
                         static_cast<long>(early % 1'000'000'000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != 0) {
    }
  }
  while (NowNs() < due) {
  }
}

bool IsDone(const Load& load, std::int64_t queries, std::int64_t wall_ns) {
  if (queries >= load.max_runs || wall_ns >= load.max_ns) return true;
  return queries >= load.min_runs && wall_ns >= load.min_ns;
}

// Keeps at most load.keep of the latencies of all queries, and what belongs to them.
void Thin(const Load& load, const std::vector<std::int64_t>& all,
          const std::vector<std::int64_t>& arrivals, Timings& timings) {
  const auto count = static_cast<std::int64_t>(all.size());
  while (count > timings.stride * load.keep) timings.stride *= 2;
  for (std::int64_t i = 0; i < count; i += timings.stride) {
    const auto index = static_cast<std::size_t>(i);
    timings.latencies_ns.push_back(all[index]);
    if (!arrivals.empty()) timings.arrivals_ns.push_back(arrivals[index]);
  }
}

void SingleStream(const Load& load, Session& session, Timings& timings) {
  Thinned kept(std::min(load.keep, load.max_runs));
  const std::int64_t loop_begin = NowNs();
  do {
    const std::int64_t begin = NowNs();
    session.Run();
    const std::int64_t end = NowNs();
    kept.Add(end - begin);
    timings.wall_ns = end - loop_begin;
  } while (!IsDone(load, kept.count(), timings.wall_ns));
  timings.queries = kept.count();
  timings.stride = kept.stride();
  timings.latencies_ns = kept.Take();
}

void MultiStream(const Load& load, Crew& crew, const std::vector<Session*>& sessions,
                 Timings& timings) {
  Thinned kept(std::min(load.keep, load.max_runs));
  std::atomic<std::int64_t> next{0};
  const std::function<void(int)> work = [&](int worker) {
    while (next.fetch_add(1) < load.inputs) sessions[static_cast<std::size_t>(worker)]->Run();
  };
  const std::int64_t loop_begin = NowNs();
  do {
    next = 0;
    const std::int64_t begin = NowNs();
    crew.Do(work);
    const std::int64_t end = NowNs();
    kept.Add(end - begin);
    timings.wall_ns = end - loop_begin;
  } while (!IsDone(load, kept.count(), timings.wall_ns));
  timings.queries = kept.count();
  timings.stride = kept.stride();
  timings.latencies_ns = kept.Take();
}

// Queries that all workers together do in a nanosecond, tried out.
double TryRate(const Load& load, Crew& crew, const std::vector<Session*>& sessions) {
  std::atomic<std::int64_t> count{0};
  const std::int64_t begin = NowNs();
  const std::int64_t end = begin + load.min_ns / kTrialPart;
  crew.Do([&](int worker) {
    do {
      sessions[static_cast<std::size_t>(worker)]->Run();
      ++count;
    } while (NowNs() < end);
  });
  return static_cast<double>(count) / static_cast<double>(NowNs() - begin);
}

void Offline(const Load& load, double rate, Crew& crew, const std::vector<Session*>& sessions,
             Timings& timings) {
  const double wanted = rate * static_cast<double>(load.min_ns) * kTenthsQueued / 10;
  const auto queries = static_cast<std::int64_t>(
      std::min(std::max(wanted, static_cast<double>(load.min_runs)),
               static_cast<double>(load.max_runs)));
  std::vector<std::int64_t> latencies(static_cast<std::size_t>(queries), -1);
  std::atomic<std::int64_t> next{0};
  std::atomic<std::int64_t> last_end{0};
  const std::int64_t begin = NowNs();
  crew.Do([&](int worker) {
    std::int64_t end = begin;
    for (std::int64_t i = next.fetch_add(1); i < queries && end - begin < load.max_ns;
         i = next.fetch_add(1)) {
      sessions[static_cast<std::size_t>(worker)]->Run();
      end = NowNs();
      latencies[static_cast<std::size_t>(i)] = end - begin;
    }
    for (std::int64_t seen = last_end; seen < end && !last_end.compare_exchange_weak(seen, end);) {
    }
  });
  timings.wall_ns = last_end - begin;
  std::erase(latencies, -1);  // what max_ns left in the queue
  timings.queries = static_cast<std::int64_t>(latencies.size());
  timings.unserved = queries - timings.queries;
  Thin(load, latencies, {}, timings);
}

// The workers take the queries in the order of their arrival, each when it is free: one queue
// before several servers, and nobody between them whose own work would delay a query.
void Server(const Load& load, Crew& crew, const std::vector<Session*>& sessions,
            Timings& timings) {
  std::vector<std::int64_t> arrivals =
      PoissonArrivals(static_cast<std::uint64_t>(load.seed), load.gap_ns, load.min_runs,
                      load.max_runs, load.min_ns);
  std::vector<std::int64_t> latencies(arrivals.size(), -1);
  std::atomic<std::size_t> next{0};
  constexpr std::int64_t kLeadNs = 1'000'000;  // until all workers stand ready
  const std::int64_t begin = NowNs() + kLeadNs;
  crew.Do([&](int worker) {
    for (std::size_t i = next++; i < arrivals.size(); i = next++) {
      const std::int64_t due = begin + arrivals[i];
      WaitUntil(due);
      if (NowNs() - begin >= load.max_ns) break;
      sessions[static_cast<std::size_t>(worker)]->Run();
      latencies[i] = NowNs() - due;
    }
  });
  std::vector<std::int64_t> served;
  std::vector<std::int64_t> came;
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    if (latencies[i] < 0) continue;
    served.push_back(latencies[i]);
    came.push_back(arrivals[i]);
    timings.wall_ns = std::max(timings.wall_ns, arrivals[i] + latencies[i]);
  }
  timings.queries = static_cast<std::int64_t>(served.size());
  timings.unserved = static_cast<std::int64_t>(arrivals.size() - served.size());
  Thin(load, served, came, timings);
}

}  // namespace

const char* Name(Scenario scenario) {
  switch (scenario) {
    case Scenario::kSingleStream: return "single_stream";
    case Scenario::kMultiStream: return "multi_stream";
    case Scenario::kOffline: return "offline";
    case Scenario::kServer: return "server";
  }
  throw Error("unknown scenario");
}

Thinned::Thinned(std::int64_t most) : most_(static_cast<std::size_t>(std::max<std::int64_t>(most, 2))) {
  constexpr std::size_t kMostReserved = 1 << 20;
  values_.reserve(std::min(most_, kMostReserved));
}

void Thinned::Add(std::int64_t value) {
  if (count_++ % stride_ != 0) return;
  if (values_.size() == most_) {
    for (std::size_t i = 0; 2 * i < values_.size(); ++i) values_[i] = values_[2 * i];
    values_.resize((values_.size() + 1) / 2);
    stride_ *= 2;
    if ((count_ - 1) % stride_ != 0) return;
  }
  values_.push_back(value);
}

Timings RunLoad(const Load& load, Crew& crew, const std::vector<Session*>& sessions) {
  crew.Do([&](int worker) {
    for (std::int64_t i = 0; i < load.warmup; ++i) {
      sessions[static_cast<std::size_t>(worker)]->Run();
    }
  });
  const bool offline = load.scenario == Scenario::kOffline;
  const double rate = offline ? TryRate(load, crew, sessions) : 0;
  Timings timings;
  const std::int64_t cpu_begin = ProcessCpuNs();
  switch (load.scenario) {
    case Scenario::kSingleStream: SingleStream(load, *sessions.at(0), timings); break;
    case Scenario::kMultiStream: MultiStream(load, crew, sessions, timings); break;
    case Scenario::kOffline: Offline(load, rate, crew, sessions, timings); break;
    case Scenario::kServer: Server(load, crew, sessions, timings); break;
  }
  timings.cpu_ns = ProcessCpuNs() - cpu_begin;
  return timings;
}

}  // namespace shipworthy
