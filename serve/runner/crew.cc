#include "crew.h"

#include "process.h"

namespace shipworthy {
namespace {

// How long a worker looks before it sleeps. To be woken costs tens of microseconds, as much as a
// small model's whole inference.
constexpr std::int64_t kSpinNs = 200'000;
// How long it looks without a break. After that it lets others have the core in between: what it
// waits for may be a worker that has none.
constexpr std::int64_t kHoldNs = 2'000;

template <typename Condition>
void SpinFor(const Condition& condition) {
  const std::int64_t begin = NowNs();
  for (std::int64_t now = begin; !condition() && now < begin + kSpinNs; now = NowNs()) {
    if (now > begin + kHoldNs) std::this_thread::yield();
  }
}

}  // namespace

Crew::Crew(int workers) {
  for (int worker = 1; worker < workers; ++worker) {
    threads_.emplace_back([this, worker] { Loop(worker); });
  }
}

Crew::~Crew() {
  {
    const std::lock_guard lock(mutex_);
    work_ = nullptr;
    ++turn_;
  }
  begun_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Crew::Do(const std::function<void(int)>& work) {
  fault_ = nullptr;
  if (!threads_.empty()) {
    {
      const std::lock_guard lock(mutex_);
      work_ = &work;
      busy_ = static_cast<int>(threads_.size());
      ++turn_;
    }
    begun_.notify_all();
  }
  Try(work, 0);
  SpinFor([this] { return busy_ == 0; });
  if (busy_ != 0) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }
  const std::lock_guard lock(mutex_);  // the last worker may not have let go of it yet
  if (fault_) std::rethrow_exception(fault_);
}

void Crew::Loop(int worker) {
  for (std::uint64_t seen = 0;;) {
    SpinFor([&] { return turn_ != seen; });
    const std::function<void(int)>* work = nullptr;
    {
      std::unique_lock lock(mutex_);
      begun_.wait(lock, [&] { return turn_ != seen; });
      seen = turn_;
      work = work_;
    }
    if (work == nullptr) return;
    Try(*work, worker);
    const std::lock_guard lock(mutex_);
    if (--busy_ == 0) done_.notify_one();
  }
}

void Crew::Try(const std::function<void(int)>& work, int worker) {
  try {
    work(worker);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!fault_) fault_ = std::current_exception();
  }
}

}  // namespace shipworthy
