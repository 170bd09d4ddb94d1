#include "bare.h"
#include "onnxruntime_api.h"

int main(int argc, char** argv) {
  Job job = ReadJob(argc, argv);
  const auto& ort = shipworthy::Ort();
  const auto check = [](OrtStatus* status) { Require(status == nullptr, "ONNX Runtime"); };
  OrtEnv* env = nullptr;
  check(ort.create_env(shipworthy::kLogErrors, "bare", &env));
  OrtSessionOptions* options = nullptr;
  check(ort.create_options(&options));
  check(ort.set_optimisation(options, shipworthy::kOptimiseAll));
  check(ort.set_intra_threads(options, 1));
  check(ort.set_inter_threads(options, 1));
  OrtSession* session = nullptr;
  check(ort.create_session(env, job.model.c_str(), options, &session));
  OrtMemoryInfo* memory = nullptr;
  check(ort.cpu_memory(shipworthy::kArenaAllocator, shipworthy::kMemoryDefault, &memory));
  OrtValue* input = nullptr;
  constexpr int kFloat = 1;
  check(ort.wrap_tensor(memory, job.values.data(), job.values.size() * sizeof(float),
                        job.shape.data(), job.shape.size(), kFloat, &input));
  const char* input_name = job.input.c_str();
  const char* output_name = job.output.c_str();
  OrtValue* output = nullptr;
  Loop(job, [&] {
    if (output != nullptr) ort.release_value(output);
    output = nullptr;
    check(ort.run(session, nullptr, &input_name, &input, 1, &output_name, 1, &output));
  });
}
