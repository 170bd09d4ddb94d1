#include "process.h"

#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>

#include "json.h"
#include "runtime.h"

// A sanitizer prints its own report and has its own signal handlers.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHIPWORTHY_SANITIZED 1
#else
#define SHIPWORTHY_SANITIZED 0
#endif

namespace shipworthy {
namespace {

int real_stdout = STDOUT_FILENO;
int real_stderr = STDERR_FILENO;
int captured = -1;
std::array<char, 256> phase_text{"starting"};  // read by the signal handler: no allocation

std::int64_t ReadClock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

bool WriteAll(int descriptor, const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = write(descriptor, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data += written;
    bytes -= static_cast<std::size_t>(written);
  }
  return true;
}

// Copies the last printed line into `buffer`. Only calls what a signal handler may call.
std::size_t ReadLastLine(char* buffer, std::size_t size) {
  if (captured < 0) return 0;
  const off_t end = lseek(captured, 0, SEEK_END);
  const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(size));
  const ssize_t got = pread(captured, buffer, size, begin);
  if (got <= 0) return 0;
  auto last = static_cast<std::size_t>(got);
  while (last > 0 && (buffer[last - 1] == '\n' || buffer[last - 1] == ' ')) --last;
  std::size_t first = last;
  while (first > 0 && buffer[first - 1] != '\n') --first;
  std::memmove(buffer, buffer + first, last - first);
  return last - first;
}

struct Line {
  std::array<char, 1536> text{};
  std::size_t size = 0;

  void Add(const char* part, std::size_t bytes) {
    bytes = std::min(bytes, text.size() - size);
    std::memcpy(text.data() + size, part, bytes);
    size += bytes;
  }
  void Add(const char* part) { Add(part, std::strlen(part)); }
};

extern "C" void OnFatalSignal(int signal) {
  const char* name = signal == SIGSEGV ? "SIGSEGV" : signal == SIGABRT ? "SIGABRT"
                   : signal == SIGBUS  ? "SIGBUS"  : signal == SIGFPE  ? "SIGFPE" : "SIGILL";
  Line line;
  line.Add("shipworthy-run-");
  line.Add(RuntimeName());
  line.Add(": error: the runtime crashed (");
  line.Add(name);
  line.Add(") while ");
  line.Add(phase_text.data());
  std::array<char, 512> words{};
  const std::size_t length = ReadLastLine(words.data(), words.size());
  if (length > 0) {
    line.Add("; the last it printed: ");
    line.Add(words.data(), length);
  }
  line.Add("\n");
  WriteAll(real_stderr, line.text.data(), line.size);
  _exit(1);
}

void CatchFatalSignals() {
  // A stack of its own: an overflow of the normal one is a way to crash, too.
  static std::array<char, 65536> stack;
  stack_t alternate{};
  alternate.ss_sp = stack.data();
  alternate.ss_size = stack.size();
  sigaltstack(&alternate, nullptr);
  struct sigaction action{};
  action.sa_handler = OnFatalSignal;
  action.sa_flags = SA_ONSTACK | SA_RESETHAND;
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) {
    sigaction(signal, &action, nullptr);
  }
}

}  // namespace

std::int64_t NowNs() { return ReadClock(CLOCK_MONOTONIC); }
std::int64_t ProcessCpuNs() { return ReadClock(CLOCK_PROCESS_CPUTIME_ID); }

Memory ReadMemory() {
  Memory memory;
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    std::int64_t* target = word == "VmHWM:"     ? &memory.peak_rss_bytes
                           : word == "VmRSS:"   ? &memory.rss_bytes
                           : word == "Threads:" ? &memory.threads
                                                : nullptr;
    if (target != nullptr) status >> *target;
  }
  memory.peak_rss_bytes *= 1024;  // the file counts in kB
  memory.rss_bytes *= 1024;
  if (memory.peak_rss_bytes == 0) throw Error("/proc/self/status tells no VmHWM");
  return memory;
}

namespace {

[[maybe_unused]] void GuardOutput() {
  const int memory = memfd_create("shipworthy-output", MFD_CLOEXEC);
  if (memory < 0) return;  // an old kernel: then the libraries' lines stay on stderr
  real_stdout = dup(STDOUT_FILENO);
  real_stderr = dup(STDERR_FILENO);
  if (real_stdout < 0 || real_stderr < 0) std::_Exit(1);
  dup2(memory, STDOUT_FILENO);
  dup2(memory, STDERR_FILENO);
  captured = memory;
  CatchFatalSignals();
}

#if !SHIPWORTHY_SANITIZED
// Before the libraries' own initialisers, some of which already print. Only system calls are made.
[[gnu::section(".preinit_array"), gnu::used]] void (*const guard_output)() = GuardOutput;
#endif

}  // namespace

void SetPhase(const std::string& phase) {
  const std::size_t size = std::min(phase.size(), phase_text.size() - 1);
  std::memcpy(phase_text.data(), phase.data(), size);
  phase_text[size] = '\0';
}

std::string LastWords() {
  std::array<char, 1024> words{};
  return std::string(words.data(), ReadLastLine(words.data(), words.size()));
}

bool PrintOut(const std::string& text) { return WriteAll(real_stdout, text.data(), text.size()); }

void PrintError(const std::string& message) {
  constexpr std::size_t kMostBytes = 2000;
  std::string line = std::string("shipworthy-run-") + RuntimeName() + ": error: ";
  for (std::string_view rest = message; !rest.empty();) {
    const std::size_t length = Utf8Length(rest);
    if (line.size() > kMostBytes) {
      line += " ...";
      break;
    }
    if (length == 0) {
      line += "\ufffd";
    } else if (static_cast<unsigned char>(rest[0]) > ' ') {
      line += rest.substr(0, length);
    } else if (line.back() != ' ') {
      line += ' ';  // one for any run of spaces, line breaks and control characters
    }
    rest.remove_prefix(length == 0 ? 1 : length);
  }
  while (line.back() == ' ') line.pop_back();
  line += '\n';
  WriteAll(real_stderr, line.data(), line.size());
}

void Exit(int code) {
#if SHIPWORTHY_SANITIZED
  std::exit(code);  // the leak check runs on the way out
#else
  std::_Exit(code);
#endif
}

}  // namespace shipworthy
