#include <tensorflow/c/c_api.h>

#include <cstring>

#include "bare.h"

namespace {

TF_Output Find(TF_Graph* graph, const std::string& name) {
  const std::size_t colon = name.rfind(':');
  TF_Operation* operation = TF_GraphOperationByName(graph, name.substr(0, colon).c_str());
  Require(operation != nullptr, name.c_str());
  return {operation, std::atoi(name.c_str() + colon + 1)};
}

}  // namespace

int main(int argc, char** argv) {
  Job job = ReadJob(argc, argv);
  TF_Status* status = TF_NewStatus();
  TF_SessionOptions* options = TF_NewSessionOptions();
  // One thread within and one between operations, in pools of the session's own.
  const unsigned char config[] = {2 << 3, 1, 5 << 3, 1, 9 << 3, 1};
  TF_SetConfig(options, config, sizeof config, status);
  Require(TF_GetCode(status) == TF_OK, TF_Message(status));
  TF_Graph* graph = TF_NewGraph();
  const char* tag = "serve";
  TF_Session* session = TF_LoadSessionFromSavedModel(options, nullptr, job.model.c_str(), &tag, 1,
                                                     graph, nullptr, status);
  Require(TF_GetCode(status) == TF_OK, TF_Message(status));
  const TF_Output input = Find(graph, job.input);
  const TF_Output output = Find(graph, job.output);
  const std::size_t bytes = job.values.size() * sizeof(float);
  TF_Tensor* value = TF_AllocateTensor(TF_FLOAT, job.shape.data(),
                                       static_cast<int>(job.shape.size()), bytes);
  std::memcpy(TF_TensorData(value), job.values.data(), bytes);
  // RunOptions: the graph runs on the caller's thread (inter_op_thread_pool = 3, -1).
  const unsigned char on_caller[] = {3 << 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
  TF_Buffer* run_options = TF_NewBufferFromString(on_caller, sizeof on_caller);
  TF_Tensor* result = nullptr;
  Loop(job, [&] {
    if (result != nullptr) TF_DeleteTensor(result);
    result = nullptr;
    TF_SessionRun(session, run_options, &input, &value, 1, &output, &result, 1, nullptr, 0, nullptr,
                  status);
    Require(TF_GetCode(status) == TF_OK, TF_Message(status));
  });
}
