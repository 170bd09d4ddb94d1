// The tensors that LiteRT reads and writes, and how its errors are told.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <string>
#include <utility>

#include "litert_api.h"
#include "process.h"
#include "runtime.h"

namespace shipworthy {

inline constexpr int kLockRead = 0;  // kLiteRtTensorBufferLockModeRead
inline constexpr int kLockWrite = 1;
inline constexpr int kHostMemory = 1;  // kLiteRtTensorBufferTypeHostMemory

// Address space for an output of unknown size; only what is written takes memory.
inline constexpr std::size_t kSpareBytes = std::size_t{1} << 32;

inline void Check(const char* doing, LiteRtStatusCode status) {
  if (status == 0) return;
  const std::string words = LastWords();
  throw Error(std::string("LiteRT, ") + doing + ": status " + std::to_string(status) +
              (words.empty() ? "" : "; it said: " + words));
}

// A great deal of address space, lent to the runtime where the size of an output is not known yet.
class Spare {
 public:
  Spare()
      : memory_(mmap(nullptr, kSpareBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (memory_ == MAP_FAILED) throw Error("no address space to find an output's size");
  }
  Spare(const Spare&) = delete;
  Spare& operator=(const Spare&) = delete;
  ~Spare() { munmap(memory_, kSpareBytes); }
  void* get() const { return memory_; }

 private:
  void* const memory_;
};

// A tensor buffer, unlocked and destroyed in the right order.
class Buffer {
 public:
  Buffer(LiteRtEnvironmentT* environment, const LiteRtTensorTypeFacts& type,
         LiteRtTensorBufferRequirementsT* requirements) {
    Check("allocating a buffer", LiteRtCreateManagedTensorBufferFromRequirements(
                                     environment, &type, requirements, &buffer_));
  }
  Buffer(LiteRtEnvironmentT* environment, const LiteRtTensorTypeFacts& type, std::size_t bytes) {
    Check("allocating a buffer", LiteRtCreateManagedTensorBuffer(environment, kHostMemory, &type,
                                                                 bytes, &buffer_));
  }
  Buffer(const LiteRtTensorTypeFacts& type, void* memory, std::size_t bytes) {
    Check("lending a buffer",
          LiteRtCreateTensorBufferFromHostMemory(&type, memory, bytes, nullptr, &buffer_));
  }
  Buffer(Buffer&& other) noexcept
      : buffer_(std::exchange(other.buffer_, nullptr)),
        data_(std::exchange(other.data_, nullptr)) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer& operator=(Buffer&&) = delete;
  ~Buffer() {
    Unlock();
    if (buffer_ != nullptr) LiteRtDestroyTensorBuffer(buffer_);
  }

  void* Lock(int mode) {
    Check("locking a buffer", LiteRtLockTensorBuffer(buffer_, &data_, mode));
    return data_;
  }
  void Unlock() {
    if (data_ != nullptr) LiteRtUnlockTensorBuffer(buffer_);
    data_ = nullptr;
  }
  LiteRtTensorBufferT* get() const { return buffer_; }
  const void* data() const { return data_; }

 private:
  LiteRtTensorBufferT* buffer_ = nullptr;
  void* data_ = nullptr;
};

}  // namespace shipworthy
