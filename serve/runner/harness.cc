// Loads a model, runs its cases, times one of them, tells it all in one JSON object.
//
// The harness knows no model, no format and no statistics: every latency is printed as it was.
#include <algorithm>
#include <exception>
#include <memory>
#include <mutex>
#include <new>

#include "arguments.h"
#include "cases.h"
#include "clock.h"
#include "crew.h"
#include "libraries.h"
#include "process.h"
#include "report.h"
#include "runtime.h"
#include "scenario.h"

namespace shipworthy {
namespace {

class Harness {
 public:
  Harness(const Arguments& arguments, std::int64_t main_ns)
      : arguments_(arguments), main_ns_(main_ns) {
    report_.empty_rss_bytes = ReadMemory().rss_bytes;
  }

  Report Run() {
    if (arguments_.start_ns && *arguments_.start_ns > main_ns_) {
      throw Error("--start-ns lies in the future of this machine's monotonic clock");
    }
    // Faulty inputs of the first case are known before the model costs any time.
    std::vector<Tensor> first;
    if (!arguments_.cases.empty()) first = ReadInputs(arguments_.cases[0]);
    PrepareModel();
    for (std::size_t i = 0; i < arguments_.cases.size(); ++i) {
      const CaseFiles& files = arguments_.cases[i];
      RunCase(files, i == 0 ? std::move(first) : ReadInputs(files));
    }
    if (arguments_.bench) Bench(*arguments_.bench);
    report_.memory = ReadMemory();
    report_.libraries = MappedLibraries();
    report_.clock = MeasureClock();
    return std::move(report_);
  }

 private:
  void PrepareModel() {
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

  const CaseFiles& FindCase(const std::string& name) const {
    return *std::find_if(arguments_.cases.begin(), arguments_.cases.end(),
                         [&](const CaseFiles& one) { return one.name == name; });
  }

  // The inputs of a case that is timed.
  std::vector<Tensor> TimedInputs(const std::string& name) const {
    const CaseFiles& files = FindCase(name);
    const auto slices = Prepare(files, ReadInputs(files));
    if (slices.size() != 1) {
      throw Error("case '" + files.name + "' has more rows than --rows " +
                  std::to_string(*arguments_.rows) + "; a timed case must be one slice");
    }
    return slices[0];
  }

  // Every worker has a session and a case of its own. What is judged is what was timed: the outputs
  // of each worker's last run replace those of its case.
  void Bench(const Load& load) {
    SetPhase("timing case '" + load.cases[0] + "'");
    std::vector<std::vector<Tensor>> inputs;
    for (const std::string& name : load.cases) inputs.push_back(TimedInputs(name));
    std::vector<std::unique_ptr<Session>> own(inputs.size());
    std::vector<Session*> sessions(inputs.size(), session_.get());
    Crew crew(static_cast<int>(inputs.size()));
    std::mutex making;
    crew.Do([&](int worker) {
      const auto index = static_cast<std::size_t>(worker);
      if (worker > 0) {
        const std::lock_guard lock(making);
        own[index] = model_->NewSession();
        sessions[index] = own[index].get();
      }
      sessions[index]->SetInputs(inputs[index]);
    });
    report_.bench = RunLoad(load, crew, sessions);
    for (std::size_t i = 0; i < sessions.size(); ++i) {
      WriteOutputs(FindCase(load.cases[i]), sessions[i]->Outputs());
    }
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
