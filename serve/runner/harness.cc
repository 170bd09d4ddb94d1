// Loads a model, runs its cases, times one of them, tells it all in one JSON object.
//
// The harness knows no model, no format and no statistics: every latency is printed as it was.
#include <algorithm>
#include <exception>
#include <new>

#include "arguments.h"
#include "cases.h"
#include "process.h"
#include "report.h"
#include "runtime.h"

namespace shipworthy {
namespace {

class Harness {
 public:
  Harness(const Arguments& arguments, std::int64_t main_ns)
      : arguments_(arguments), main_ns_(main_ns) {}

  Report Run() {
    if (arguments_.start_ns && *arguments_.start_ns > main_ns_) {
      throw Error("--start-ns lies in the future of this machine's monotonic clock");
    }
    // Faulty inputs of the first case are known before the model costs any time.
    std::vector<Tensor> first;
    if (!arguments_.cases.empty()) first = ReadInputs(arguments_.cases[0]);
    Load();
    for (std::size_t i = 0; i < arguments_.cases.size(); ++i) {
      const CaseFiles& files = arguments_.cases[i];
      RunCase(files, i == 0 ? std::move(first) : ReadInputs(files));
    }
    if (arguments_.bench) Bench(*arguments_.bench);
    report_.memory = ReadMemory();
    report_.libraries = MappedLibraries();
    return std::move(report_);
  }

 private:
  void Load() {
    SetPhase("loading the model");
    const std::int64_t begin = NowNs();
    model_ = LoadModel(arguments_.options);
    session_ = model_->NewSession();
    report_.load_ns = NowNs() - begin;
    report_.loaded_rss_bytes = ReadMemory().rss_bytes;
    report_.inputs = model_->Inputs();
    report_.outputs = model_->Outputs();
    report_.threads = model_->Threads();
    report_.settings = model_->RuntimeSettings();
    if (arguments_.start_ns) report_.process_ns = main_ns_ - *arguments_.start_ns;
  }

  // The inputs of a case, ordered, cut into slices and checked.
  std::vector<std::vector<Tensor>> Prepare(const CaseFiles& files,
                                           std::vector<Tensor> given) const {
    auto slices = Slice(files.name, MatchInputs(files.name, std::move(given), report_.inputs),
                        arguments_.rows);
    for (const auto& slice : slices) CheckInputs(files.name, slice, report_.inputs);
    return slices;
  }

  void RunCase(const CaseFiles& files, std::vector<Tensor> given) {
    SetPhase("running case '" + files.name + "'");
    CheckOutputNames(files, report_.outputs);
    std::vector<std::vector<Tensor>> slices;
    for (const auto& slice : Prepare(files, std::move(given))) {
      session_->SetInputs(slice);
      const std::int64_t begin = NowNs();
      session_->Run();
      const std::int64_t end = NowNs();
      if (!report_.first_ns) {
        report_.first_ns = end - begin;
        if (arguments_.start_ns) report_.cold_start_ns = end - *arguments_.start_ns;
      }
      slices.push_back(arguments_.rows ? Keep(session_->Outputs()) : session_->Outputs());
    }
    const std::vector<Tensor> outputs = Join(slices);
    WriteOutputs(files, outputs);
    CaseResult result{files.name, static_cast<std::int64_t>(slices.size()), {}};
    for (const Tensor& output : outputs) {
      result.outputs.push_back({output.name, Name(output.dtype), output.shape});
    }
    if (report_.outputs.empty()) {
      for (const Tensor& output : outputs) {
        report_.outputs.push_back({output.name, std::nullopt, std::nullopt});
      }
    }
    report_.cases.push_back(std::move(result));
  }

  void Bench(const BenchOptions& bench) {
    SetPhase("timing case '" + bench.case_name + "'");
    const CaseFiles& files =
        *std::find_if(arguments_.cases.begin(), arguments_.cases.end(),
                      [&](const CaseFiles& one) { return one.name == bench.case_name; });
    const auto slices = Prepare(files, ReadInputs(files));
    if (slices.size() != 1) {
      throw Error("case '" + files.name + "' has more rows than --rows " +
                  std::to_string(*arguments_.rows) + "; a timed case must be one slice");
    }
    session_->SetInputs(slices[0]);
    for (std::int64_t i = 0; i < bench.warmup; ++i) session_->Run();
    report_.bench = Timings{files.name, bench.warmup, {}, 0, 0};
    TimedLoop(bench, *report_.bench);
    WriteOutputs(files, session_->Outputs());  // what is judged is what was timed
  }

  void TimedLoop(const BenchOptions& bench, Timings& timings) {
    constexpr std::int64_t kMostReserved = 1 << 20;
    timings.latencies_ns.reserve(
        static_cast<std::size_t>(std::min(bench.max_runs, kMostReserved)));
    const std::int64_t cpu_begin = ProcessCpuNs();
    const std::int64_t loop_begin = NowNs();
    for (;;) {
      const std::int64_t begin = NowNs();
      session_->Run();
      const std::int64_t end = NowNs();
      timings.latencies_ns.push_back(end - begin);
      timings.wall_ns = end - loop_begin;
      const auto runs = static_cast<std::int64_t>(timings.latencies_ns.size());
      if (runs >= bench.max_runs || timings.wall_ns >= bench.max_ns) break;
      if (runs >= bench.min_runs && timings.wall_ns >= bench.min_ns) break;
    }
    timings.cpu_ns = ProcessCpuNs() - cpu_begin;
  }

  const Arguments& arguments_;
  const std::int64_t main_ns_;
  Report report_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Session> session_;  // after the model: destroyed before it
};

int Main(int argc, char** argv, std::int64_t main_ns) {
  std::string message;
  try {
    const Arguments arguments = ParseArguments(argc, argv);
    std::string json;
    if (arguments.describe) {
      json = DescribeJson();
    } else {
      json = RunJson(arguments, Harness(arguments, main_ns).Run());
    }
    if (PrintOut(json + "\n")) return 0;
    message = "stdout could not be written";
  } catch (const UsageError& e) {
    PrintError(e.what());
    return 2;
  } catch (const std::bad_alloc&) {
    message = "out of memory";
  } catch (const std::exception& e) {
    message = e.what();
  } catch (...) {
    message = "the runtime threw something that is no std::exception";
  }
  PrintError(message);
  return 1;
}

}  // namespace
}  // namespace shipworthy

int main(int argc, char** argv) {
  const std::int64_t main_ns = shipworthy::NowNs();
  shipworthy::Exit(shipworthy::Main(argc, argv, main_ns));
}
