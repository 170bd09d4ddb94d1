#include "libraries.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <string_view>

namespace shipworthy {
namespace {

bool IsPython(std::string_view name) {
  return name.starts_with("libpython") || name.starts_with("python3");
}

// What glibc and musl consist of: it is there wherever a program can be started at all. The C++
// library and libgcc are not; they come with the compiler.
bool IsSystem(std::string_view name) {
  constexpr std::array<std::string_view, 13> kStems = {
      "ld-linux", "ld64.so", "ld-musl", "ld.so", "libc.so", "libm.so", "libmvec.so",
      "libpthread.so", "libdl.so", "librt.so", "libresolv.so", "libutil.so", "libanl.so"};
  return std::any_of(kStems.begin(), kStems.end(),
                     [&](std::string_view stem) { return name.starts_with(stem); });
}

std::int64_t FileBytes(const std::string& path) {
  struct stat facts{};
  return stat(path.c_str(), &facts) == 0 ? static_cast<std::int64_t>(facts.st_size) : 0;
}

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::vector<Library> MappedLibraries() {
  std::map<std::string, std::string> paths;  // by name
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::size_t slash = line.find('/');
    if (slash == std::string::npos) continue;
    const std::string path = line.substr(slash);
    const std::string name = BaseName(path);
    if (IsPython(name) || name.ends_with(".so") || name.find(".so.") != std::string::npos) {
      paths.emplace(name, path);
    }
  }
  std::error_code ignored;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
  std::vector<Library> libraries = {{BaseName(program), FileBytes("/proc/self/exe"), true, false}};
  for (const auto& [name, path] : paths) {
    libraries.push_back({name, FileBytes(path), false, IsSystem(name)});
  }
  return libraries;
}

bool IsPythonFree(const std::vector<Library>& libraries) {
  return std::none_of(libraries.begin(), libraries.end(),
                      [](const Library& library) { return IsPython(library.name); });
}

}  // namespace shipworthy
