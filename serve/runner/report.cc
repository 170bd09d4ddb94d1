#include "report.h"

#include "json.h"

namespace shipworthy {
namespace {

constexpr const char* kCompiler =
#if defined(__clang__)
    "clang++ " __clang_version__;
#elif defined(__GNUC__)
    "g++ " __VERSION__;
#else
    "unknown";
#endif

constexpr const char* kStandard = __cplusplus > 202002L ? "c++23" : "c++20";

void AddRuntime(Json& json) {
  json.Key("schema").Int(1);
  json.Key("runtime").Text(RuntimeName());
  json.Key("version").Text(RuntimeVersion());
  json.Key("format").Text(RuntimeFormat());
  json.Key("build").Open('{');
  json.Key("compiler").Text(kCompiler);
  json.Key("flags").Text(SHIPWORTHY_FLAGS);
  json.Key("standard").Text(kStandard);
  json.Close('}');
}

void AddTensors(Json& json, const char* key, const std::vector<TensorInfo>& tensors) {
  json.Key(key).Open('[');
  for (const TensorInfo& tensor : tensors) {
    json.Open('{').Key("name").Text(tensor.name).Key("dtype");
    tensor.dtype ? json.Text(*tensor.dtype) : json.Null();
    json.Key("shape");
    if (tensor.shape) {
      json.Open('[');
      for (const std::int64_t size : *tensor.shape) json.Int(size);
      json.Close(']');
    } else {
      json.Null();
    }
    json.Close('}');
  }
  json.Close(']');
}

void AddNumbers(Json& json, const char* key, const std::vector<std::int64_t>& numbers) {
  json.Key(key).Open('[');
  for (const std::int64_t number : numbers) json.Int(number);
  json.Close(']');
}

void AddBench(Json& json, const std::optional<Load>& load, const std::optional<Timings>& timings) {
  json.Key("bench");
  if (!load || !timings) {
    json.Null();
    return;
  }
  json.Open('{').Key("scenario").Text(Name(load->scenario));
  json.Key("case").Text(load->cases.at(0));
  json.Key("cases").Open('[');
  for (const std::string& name : load->cases) json.Text(name);
  json.Close(']');
  json.Key("inputs_per_query").Int(load->inputs);
  json.Key("warmup").Int(load->warmup);
  json.Key("queries").Int(timings->queries).Key("unserved").Int(timings->unserved);
  json.Key("stride").Int(timings->stride);
  AddNumbers(json, "latencies_ns", timings->latencies_ns);
  if (load->scenario == Scenario::kServer) {
    json.Key("gap_ns").Int(load->gap_ns).Key("seed").Int(load->seed);
    AddNumbers(json, "arrivals_ns", timings->arrivals_ns);
  }
  json.Key("wall_ns").Int(timings->wall_ns).Key("cpu_ns").Int(timings->cpu_ns).Close('}');
}

void AddLibraries(Json& json, const std::vector<Library>& libraries) {
  json.Key("python_free").Bool(IsPythonFree(libraries));
  json.Key("mapped_libraries").Open('[');
  for (const Library& library : libraries) {
    if (!library.program) json.Text(library.name);
  }
  json.Close(']').Key("libraries").Open('[');
  for (const Library& library : libraries) {
    json.Open('{').Key("name").Text(library.name).Key("bytes").Int(library.bytes);
    json.Key("program").Bool(library.program).Key("system").Bool(library.system).Close('}');
  }
  json.Close(']');
}

}  // namespace

std::string DescribeJson() {
  Json json;
  json.Open('{');
  AddRuntime(json);
  json.Close('}');
  return json.text();
}

std::string RunJson(const Arguments& arguments, const Report& report) {
  Json json;
  json.Open('{');
  AddRuntime(json);
  json.Key("threads").Open('{').Key("requested").Int(arguments.options.threads).Key("effective");
  report.threads ? json.Int(*report.threads) : json.Null();
  json.Close('}');
  json.Key("settings").Open('{');
  for (const auto& [name, value] : report.settings) json.Key(name).Text(value);
  json.Close('}');
  AddTensors(json, "inputs", report.inputs);
  AddTensors(json, "outputs", report.outputs);
  json.Key("cases").Open('[');
  for (const CaseResult& one : report.cases) {
    json.Open('{').Key("name").Text(one.name).Key("runs").Int(one.runs);
    AddTensors(json, "outputs", one.outputs);
    json.Close('}');
  }
  json.Close(']');
  json.Key("process_ns").Int(report.process_ns);
  json.Key("load_ns").Int(report.load_ns);
  json.Key("first_ns").Int(report.first_ns);
  json.Key("cold_start_ns").Int(report.cold_start_ns);
  AddBench(json, arguments.bench, report.bench);
  json.Key("peak_rss_bytes").Int(report.memory.peak_rss_bytes);
  json.Key("empty_rss_bytes").Int(report.empty_rss_bytes);
  json.Key("loaded_rss_bytes").Int(report.loaded_rss_bytes);
  json.Key("os_threads").Int(report.memory.threads);
  json.Key("timer").Open('{').Key("resolution_ns").Int(report.clock.resolution_ns);
  json.Key("overhead_ns").Int(report.clock.overhead_ns).Close('}');
  AddLibraries(json, report.libraries);
  json.Close('}');
  return json.text();
}

}  // namespace shipworthy
