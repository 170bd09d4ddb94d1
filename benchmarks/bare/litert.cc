#include <algorithm>
#include <cstring>

#include "bare.h"
#include "litert_api.h"

namespace {

void Check(LiteRtStatusCode status) { Require(status == 0, "LiteRT"); }

LiteRtTensorTypeFacts FloatType(const LiteRtLayoutFacts& layout) { return {1, layout}; }

}  // namespace

int main(int argc, char** argv) {
  Job job = ReadJob(argc, argv);
  LiteRtEnvironmentT* environment = nullptr;
  Check(LiteRtCreateEnvironment(0, nullptr, &environment));
  LiteRtModelT* model = nullptr;
  Check(LiteRtCreateModelFromFile(environment, job.model.c_str(), &model));
  LiteRtOptionsT* options = nullptr;
  Check(LiteRtCreateOptions(&options));
  Check(LiteRtSetOptionsHardwareAccelerators(options, 1));
  LiteRtOpaqueOptionsT* threads = nullptr;
  Check(LiteRtCreateOpaqueOptions("xnnpack", strdup("num_threads = 1\n"), std::free, &threads));
  Check(LiteRtAddOpaqueOptions(options, threads));
  LiteRtCompiledModelT* compiled = nullptr;
  Check(LiteRtCreateCompiledModel(environment, model, options, &compiled));

  LiteRtLayoutFacts input_layout{};
  Check(LiteRtGetCompiledModelInputTensorLayout(compiled, 0, 0, &input_layout));
  const std::vector<int> dims(job.shape.begin(), job.shape.end());
  if (!std::equal(dims.begin(), dims.end(), input_layout.dimensions)) {
    Check(LiteRtCompiledModelResizeInputTensor(compiled, 0, 0, dims.data(), dims.size()));
    std::copy(dims.begin(), dims.end(), input_layout.dimensions);
  }
  LiteRtLayoutFacts output_layout{};
  Check(LiteRtGetCompiledModelOutputTensorLayouts(compiled, 0, 1, &output_layout, true));
  const LiteRtTensorTypeFacts input_type = FloatType(input_layout);
  const LiteRtTensorTypeFacts output_type = FloatType(output_layout);
  LiteRtTensorBufferRequirementsT* input_needs = nullptr;
  LiteRtTensorBufferRequirementsT* output_needs = nullptr;
  Check(LiteRtGetCompiledModelInputBufferRequirements(compiled, 0, 0, &input_needs));
  Check(LiteRtGetCompiledModelOutputBufferRequirements(compiled, 0, 0, &output_needs));
  LiteRtTensorBufferT* input = nullptr;
  Check(LiteRtCreateManagedTensorBufferFromRequirements(environment, &input_type, input_needs,
                                                        &input));
  void* memory = nullptr;
  Check(LiteRtLockTensorBuffer(input, &memory, 1));
  std::memcpy(memory, job.values.data(), job.values.size() * sizeof(float));
  Check(LiteRtUnlockTensorBuffer(input));
  LiteRtTensorBufferT* output = nullptr;
  Loop(job, [&] {
    if (output != nullptr) {
      LiteRtUnlockTensorBuffer(output);
      LiteRtDestroyTensorBuffer(output);
    }
    Check(LiteRtCreateManagedTensorBufferFromRequirements(environment, &output_type, output_needs,
                                                          &output));
    Check(LiteRtRunCompiledModel(compiled, 0, 1, &input, 1, &output));
    Check(LiteRtLockTensorBuffer(output, &memory, 0));
  });
}
