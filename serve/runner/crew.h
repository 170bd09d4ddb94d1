// Workers that begin together and are waited for together.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace shipworthy {

// As many workers as asked for: the calling thread is worker 0, each of the others has a thread of
// its own for as long as the crew lives. A crew of one starts no thread.
class Crew {
 public:
  explicit Crew(int workers);
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew();

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls work(worker) on all workers at once; returns when all are done. What the first of them
  // threw is thrown here.
  void Do(const std::function<void(int)>& work);

 private:
  void Loop(int worker);
  void Try(const std::function<void(int)>& work, int worker);

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable begun_;
  std::condition_variable done_;
  const std::function<void(int)>* work_ = nullptr;  // null: the workers go home
  std::atomic<std::uint64_t> turn_{0};
  std::atomic<int> busy_{0};
  std::exception_ptr fault_;
};

}  // namespace shipworthy
