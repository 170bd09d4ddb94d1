// The few functions of ONNX Runtime's C API that the runner uses.
//
// The wheel carries no headers. The API is a table of function pointers that only ever grows at its
// end, so that the slot of a function is a fact that does not change; the slots below are those of
// OrtApi in include/onnxruntime/core/session/onnxruntime_c_api.h of microsoft/onnxruntime (version
// 1 of the API has all but AddSessionConfigEntry, which came with version 7).
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

extern "C" {
struct OrtStatus;
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;
struct OrtMemoryInfo;
struct OrtValue;
struct OrtTypeInfo;
struct OrtTensorTypeAndShapeInfo;
struct OrtAllocator;
struct OrtRunOptions;

struct OrtApiBase {
  const void* const* (*GetApi)(std::uint32_t version);
  const char* (*GetVersionString)();
};
const OrtApiBase* OrtGetApiBase();
}

namespace shipworthy {

constexpr std::uint32_t kApiVersion = 7;
constexpr int kLogErrors = 3;       // ORT_LOGGING_LEVEL_ERROR
constexpr int kOptimiseAll = 99;    // ORT_ENABLE_ALL
constexpr int kArenaAllocator = 1;  // OrtArenaAllocator
constexpr int kMemoryDefault = 0;   // OrtMemTypeDefault
constexpr int kOnnxTypeTensor = 1;  // ONNX_TYPE_TENSOR

inline const OrtApiBase& Base() { return *OrtGetApiBase(); }

template <typename Function>
Function Slot(std::size_t number) {
  static const void* const* const table = Base().GetApi(kApiVersion);
  if (table == nullptr) {
    throw std::runtime_error(std::string("ONNX Runtime ") + Base().GetVersionString() +
                             " does not answer version " + std::to_string(kApiVersion) +
                             " of its API");
  }
  return reinterpret_cast<Function>(const_cast<void*>(table[number]));
}

// The functions used, each with its slot.
struct Api {
  template <typename... Arguments>
  using Call = OrtStatus* (*)(Arguments...);
  template <typename Object>
  using Free = void (*)(Object*);

  const char* (*message)(const OrtStatus*) = Slot<decltype(message)>(2);
  Call<int, const char*, OrtEnv**> create_env = Slot<decltype(create_env)>(3);
  Call<const OrtEnv*, const char*, const OrtSessionOptions*, OrtSession**> create_session =
      Slot<decltype(create_session)>(7);
  Call<OrtSession*, const OrtRunOptions*, const char* const*, const OrtValue* const*, std::size_t,
       const char* const*, std::size_t, OrtValue**>
      run = Slot<decltype(run)>(9);
  Call<OrtSessionOptions**> create_options = Slot<decltype(create_options)>(10);
  Call<OrtSessionOptions*, int> set_optimisation = Slot<decltype(set_optimisation)>(23);
  Call<OrtSessionOptions*, int> set_intra_threads = Slot<decltype(set_intra_threads)>(24);
  Call<OrtSessionOptions*, int> set_inter_threads = Slot<decltype(set_inter_threads)>(25);
  Call<const OrtSession*, std::size_t*> input_count = Slot<decltype(input_count)>(30);
  Call<const OrtSession*, std::size_t*> output_count = Slot<decltype(output_count)>(31);
  Call<const OrtSession*, std::size_t, OrtTypeInfo**> input_type = Slot<decltype(input_type)>(33);
  Call<const OrtSession*, std::size_t, OrtTypeInfo**> output_type = Slot<decltype(output_type)>(34);
  Call<const OrtSession*, std::size_t, OrtAllocator*, char**> input_name =
      Slot<decltype(input_name)>(36);
  Call<const OrtSession*, std::size_t, OrtAllocator*, char**> output_name =
      Slot<decltype(output_name)>(37);
  Call<const OrtMemoryInfo*, void*, std::size_t, const std::int64_t*, std::size_t, int, OrtValue**>
      wrap_tensor = Slot<decltype(wrap_tensor)>(49);
  Call<const OrtValue*, int*> is_tensor = Slot<decltype(is_tensor)>(50);
  Call<OrtValue*, void**> tensor_data = Slot<decltype(tensor_data)>(51);
  Call<const OrtTypeInfo*, const OrtTensorTypeAndShapeInfo**> as_tensor_info =
      Slot<decltype(as_tensor_info)>(55);
  Call<const OrtTypeInfo*, int*> onnx_type = Slot<decltype(onnx_type)>(56);
  Call<const OrtTensorTypeAndShapeInfo*, int*> element_type = Slot<decltype(element_type)>(60);
  Call<const OrtTensorTypeAndShapeInfo*, std::size_t*> rank = Slot<decltype(rank)>(61);
  Call<const OrtTensorTypeAndShapeInfo*, std::int64_t*, std::size_t> dimensions =
      Slot<decltype(dimensions)>(62);
  Call<const OrtValue*, OrtTensorTypeAndShapeInfo**> value_info = Slot<decltype(value_info)>(65);
  Call<int, int, OrtMemoryInfo**> cpu_memory = Slot<decltype(cpu_memory)>(69);
  Call<OrtAllocator*, void*> allocator_free = Slot<decltype(allocator_free)>(76);
  Call<OrtAllocator**> default_allocator = Slot<decltype(default_allocator)>(78);
  Free<OrtEnv> release_env = Slot<decltype(release_env)>(92);
  Free<OrtStatus> release_status = Slot<decltype(release_status)>(93);
  Free<OrtMemoryInfo> release_memory = Slot<decltype(release_memory)>(94);
  Free<OrtSession> release_session = Slot<decltype(release_session)>(95);
  Free<OrtValue> release_value = Slot<decltype(release_value)>(96);
  Free<OrtTypeInfo> release_type = Slot<decltype(release_type)>(98);
  Free<OrtTensorTypeAndShapeInfo> release_info = Slot<decltype(release_info)>(99);
  Free<OrtSessionOptions> release_options = Slot<decltype(release_options)>(100);
  Call<OrtSessionOptions*, const char*, const char*> add_config = Slot<decltype(add_config)>(130);
};

inline const Api& Ort() {
  static const Api api;
  return api;
}

}  // namespace shipworthy
