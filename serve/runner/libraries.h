// What has to be on a machine for this process to run there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shipworthy {

// A file that is mapped into this process: the program itself, or a shared object.
struct Library {
  std::string name;         // without its folder
  std::int64_t bytes = 0;   // of the file
  bool program = false;     // the program itself
  bool system = false;      // part of the operating system's C library, or its loader
};

// The program first, then the shared objects, sorted by name. From /proc/self/maps. A file that is
// no longer there counts 0 bytes.
std::vector<Library> MappedLibraries();

// False if one of them is a Python interpreter.
bool IsPythonFree(const std::vector<Library>& libraries);

}  // namespace shipworthy
