#include "files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace shipworthy {
namespace {

std::string Reason() { return std::strerror(errno); }

void WriteAll(int descriptor, const void* data, std::size_t bytes) {
  const char* position = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = write(descriptor, position, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw Error(Reason());
    position += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

}  // namespace

File::File(const std::string& path)
    : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (descriptor_ < 0) throw Error("cannot open " + path + ": " + Reason());
  struct stat status{};
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor_);
    throw Error("cannot read " + path + ": it is not a regular file");
  }
  remaining_ = static_cast<std::size_t>(status.st_size);
}

File::~File() { close(descriptor_); }

void File::Read(void* target, std::size_t bytes, const char* what) {
  char* position = static_cast<char*>(target);
  while (bytes > 0) {
    const ssize_t got = read(descriptor_, position, bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(Reason());
    if (got == 0) throw Error(std::string("the file ends inside ") + what);
    position += got;
    bytes -= static_cast<std::size_t>(got);
    remaining_ -= std::min(remaining_, static_cast<std::size_t>(got));
  }
}

std::shared_ptr<const std::byte> File::Map() const {
  const std::size_t bytes = remaining_;
  if (bytes == 0) throw Error("it is empty");
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, descriptor_, 0);
  if (memory == MAP_FAILED) throw Error(Reason());
  return {static_cast<const std::byte*>(memory),
          [memory, bytes](const std::byte*) { munmap(memory, bytes); }};
}

void WriteByRename(const std::string& path,
                   const std::vector<std::pair<const void*, std::size_t>>& pieces) {
  std::string temporary = path + ".XXXXXX";
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0) throw Error("cannot write " + path + ": " + Reason());
  try {
    for (const auto& [data, bytes] : pieces) WriteAll(descriptor, data, bytes);
    if (fchmod(descriptor, 0644) != 0) throw Error(Reason());
    if (rename(temporary.c_str(), path.c_str()) != 0) throw Error(Reason());
  } catch (const Error& e) {
    close(descriptor);
    unlink(temporary.c_str());
    throw Error("cannot write " + path + ": " + e.what());
  }
  if (close(descriptor) != 0) throw Error("cannot write " + path + ": " + Reason());
}

std::string ReadStart(const std::string& path, std::size_t least_bytes) {
  File file(path);
  if (file.remaining() < least_bytes) {
    throw Error("cannot read the model " + path + ": it has " + std::to_string(file.remaining()) +
                " bytes, too few for any model");
  }
  std::string start(least_bytes, '\0');
  file.Read(start.data(), least_bytes, "its first bytes");
  return start;
}

void RequireFolder(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) throw Error("cannot open " + path + ": " + Reason());
  if (!S_ISDIR(status.st_mode)) throw Error("cannot open " + path + ": it is not a folder");
}

}  // namespace shipworthy
