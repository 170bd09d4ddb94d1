// Facts about this process, and the guard that keeps its output clean.
#pragma once

#include <cstdint>
#include <string>

namespace shipworthy {

std::int64_t NowNs();         // CLOCK_MONOTONIC, the clock of std::chrono::steady_clock on Linux
std::int64_t ProcessCpuNs();  // CPU time of all threads

// From /proc/self/status. VmHWM is the peak of this process alone; getrusage's ru_maxrss would
// begin with the parent's size.
struct Memory {
  std::int64_t peak_rss_bytes = 0;  // VmHWM
  std::int64_t rss_bytes = 0;       // VmRSS
  std::int64_t threads = 0;
};
Memory ReadMemory();

// Before anything else runs, stdout and stderr are pointed at a file in memory, so that what the
// libraries print is kept apart: stdout holds nothing but the JSON, stderr nothing but one line. A
// fatal signal prints that line too and exits with 1. Not so under a sanitizer, which prints its
// own report.

// What the process is doing, for the message of a fatal signal.
void SetPhase(const std::string& phase);

// Last line that a library printed, empty if none.
std::string LastWords();

// Writes to the real stdout. Returns false if not all of it could be written.
bool PrintOut(const std::string& text);

// Writes "shipworthy-run-<runtime>: error: <message>" to the real stderr, in one line.
void PrintError(const std::string& message);

// Ends the process. Skips the libraries' static destructors, which have no work left to do.
[[noreturn]] void Exit(int code);

}  // namespace shipworthy
