// Files read and written with every fault named.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensor.h"

namespace shipworthy {

// A regular file, opened for reading. Pipes and devices are refused: they could block for ever.
class File {
 public:
  explicit File(const std::string& path);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::size_t remaining() const { return remaining_; }

  // Reads exactly `bytes`; `what` stands in the message if the file ends before.
  void Read(void* target, std::size_t bytes, const char* what);

  // Maps the whole file, of which nothing has been read yet: only pages that are looked at cost
  // memory.
  std::shared_ptr<const std::byte> Map() const;

 private:
  int descriptor_;
  std::size_t remaining_ = 0;
};

// Writes the pieces one after another under a temporary name, then renames to `path`.
void WriteByRename(const std::string& path,
                   const std::vector<std::pair<const void*, std::size_t>>& pieces);

// Error unless `path` is a readable regular file of at least `least_bytes` bytes. Returns its
// first `least_bytes` bytes.
std::string ReadStart(const std::string& path, std::size_t least_bytes);

// Error unless `path` is a folder.
void RequireFolder(const std::string& path);

}  // namespace shipworthy
