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

void AddBench(Json& json, const std::optional<Timings>& bench) {
  json.Key("bench");
  if (!bench) {
    json.Null();
    return;
  }
  json.Open('{').Key("case").Text(bench->case_name).Key("warmup").Int(bench->warmup);
  json.Key("latencies_ns").Open('[');
  for (const std::int64_t latency : bench->latencies_ns) json.Int(latency);
  json.Close(']');
  json.Key("wall_ns").Int(bench->wall_ns).Key("cpu_ns").Int(bench->cpu_ns).Close('}');
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
  AddBench(json, report.bench);
  json.Key("peak_rss_bytes").Int(report.memory.peak_rss_bytes);
  json.Key("loaded_rss_bytes").Int(report.loaded_rss_bytes);
  json.Key("os_threads").Int(report.memory.threads);
  json.Key("python_free").Bool(IsPythonFree(report.libraries));
  json.Key("mapped_libraries").Open('[');
  for (const std::string& name : report.libraries) json.Text(name);
  json.Close(']');
  json.Close('}');
  return json.text();
}

}  // namespace shipworthy
