#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include "bare.h"

int main(int argc, char** argv) {
  Job job = ReadJob(argc, argv);
  at::set_num_threads(1);
  at::set_num_interop_threads(1);
  const c10::InferenceMode guard;
  torch::jit::Module module = torch::jit::load(job.model, c10::Device(c10::kCPU));
  const std::vector<c10::IValue> inputs = {
      at::from_blob(job.values.data(), job.shape, c10::ScalarType::Float).clone()};
  at::Tensor output;
  Loop(job, [&] {
    output.reset();
    output = module.forward(inputs).toTensor().contiguous();
  });
}
