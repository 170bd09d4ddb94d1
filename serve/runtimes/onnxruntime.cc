// ONNX files through ONNX Runtime's C API, with all graph optimisations.
#include <algorithm>
#include <array>

#include "files.h"
#include "onnxruntime_api.h"
#include "process.h"
#include "runtime.h"

namespace shipworthy {
namespace {

// ONNXTensorElementDataType, in order.
constexpr std::array<const char*, 17> kElementNames = {
    "undefined", "float32", "uint8",   "int8",   "uint16",    "int16",      "int32",   "int64",
    "string",    "bool",    "float16", "float64", "uint32", "uint64", "complex64", "complex128",
    "bfloat16"};

struct Element {
  Dtype dtype;
  int type;
};
constexpr std::array<Element, 6> kElements = {{{Dtype::kFloat32, 1},
                                               {Dtype::kFloat64, 11},
                                               {Dtype::kInt32, 6},
                                               {Dtype::kInt64, 7},
                                               {Dtype::kUint8, 2},
                                               {Dtype::kBool, 9}}};

std::string ElementName(int type) {
  const auto index = static_cast<std::size_t>(type);
  return type >= 0 && index < kElementNames.size() ? kElementNames[index]
                                                   : "ONNX type " + std::to_string(type);
}

void Check(OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = Ort().message(status);
  Ort().release_status(status);
  throw Error("ONNX Runtime: " + message);
}

template <typename Object>
using Handle = std::unique_ptr<Object, void (*)(Object*)>;

// Calls a function that makes an object through its last argument.
template <typename Object, typename Create, typename... Arguments>
Handle<Object> Make(void (*release)(Object*), Create create, Arguments... arguments) {
  Object* object = nullptr;
  Check(create(arguments..., &object));
  return {object, release};
}

std::string TakeString(char* text) {
  std::string copy = text;
  OrtAllocator* allocator = nullptr;
  Check(Ort().default_allocator(&allocator));
  Check(Ort().allocator_free(allocator, text));
  return copy;
}

Shape ReadShape(const OrtTensorTypeAndShapeInfo* info) {
  std::size_t rank = 0;
  Check(Ort().rank(info, &rank));
  Shape shape(rank);
  Check(Ort().dimensions(info, shape.data(), rank));
  return shape;
}

TensorInfo ReadInfo(std::string name, const OrtTypeInfo* type) {
  int onnx_type = 0;
  Check(Ort().onnx_type(type, &onnx_type));
  if (onnx_type != kOnnxTypeTensor) {
    throw Error("'" + name + "' is no tensor; only tensors can be run");
  }
  const OrtTensorTypeAndShapeInfo* info = nullptr;
  Check(Ort().as_tensor_info(type, &info));
  int element = 0;
  Check(Ort().element_type(info, &element));
  return {std::move(name), ElementName(element), ReadShape(info)};
}

class OrtSessionRun final : public Session {
 public:
  OrtSessionRun(OrtSession* session, const std::vector<TensorInfo>& inputs,
                const std::vector<TensorInfo>& outputs)
      : session_(session),
        memory_(Make(Ort().release_memory, Ort().cpu_memory, kArenaAllocator, kMemoryDefault)),
        outputs_(outputs.size(), nullptr) {
    for (const TensorInfo& input : inputs) input_names_.push_back(input.name.c_str());
    for (const TensorInfo& output : outputs) output_names_.push_back(output.name.c_str());
  }

  ~OrtSessionRun() override { ReleaseOutputs(); }

  void SetInputs(const std::vector<Tensor>& inputs) override {
    values_.clear();
    raw_values_.clear();
    copies_.clear();
    for (const Tensor& input : inputs) {
      const Tensor& copy = copies_.emplace_back(
          MakeTensor(input.name, input.dtype, input.shape, input.data.get()));
      const auto element = std::find_if(kElements.begin(), kElements.end(),
                                        [&](const Element& e) { return e.dtype == copy.dtype; });
      values_.push_back(Make(Ort().release_value, Ort().wrap_tensor, memory_.get(),
                             static_cast<void*>(const_cast<std::byte*>(copy.data.get())),
                             copy.bytes(), copy.shape.data(), copy.shape.size(), element->type));
      raw_values_.push_back(values_.back().get());
    }
  }

  void Run() override {
    ReleaseOutputs();
    Check(Ort().run(session_, nullptr, input_names_.data(), raw_values_.data(), raw_values_.size(),
                    output_names_.data(), output_names_.size(), outputs_.data()));
  }

  std::vector<Tensor> Outputs() override {
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      tensors.push_back(ReadOutput(output_names_[i], outputs_[i]));
    }
    return tensors;
  }

 private:
  void ReleaseOutputs() {
    for (OrtValue*& output : outputs_) {
      if (output != nullptr) Ort().release_value(output);
      output = nullptr;
    }
  }

  static Tensor ReadOutput(const std::string& name, OrtValue* value) {
    int is_tensor = 0;
    Check(Ort().is_tensor(value, &is_tensor));
    if (is_tensor == 0) throw Error("output '" + name + "' is no tensor");
    const auto info =
        Make(Ort().release_info, Ort().value_info, const_cast<const OrtValue*>(value));
    int type = 0;
    Check(Ort().element_type(info.get(), &type));
    const auto element = std::find_if(kElements.begin(), kElements.end(),
                                      [&](const Element& e) { return e.type == type; });
    if (element == kElements.end()) {
      throw Error("output '" + name + "' has the dtype " +
                  ElementName(type) + "; allowed: " + std::string(kDtypeNames));
    }
    void* data = nullptr;
    Check(Ort().tensor_data(value, &data));
    return ViewTensor(name, element->dtype, ReadShape(info.get()), data);
  }

  OrtSession* const session_;
  const Handle<OrtMemoryInfo> memory_;
  std::vector<const char*> input_names_;
  std::vector<const char*> output_names_;
  std::vector<Tensor> copies_;
  std::vector<Handle<OrtValue>> values_;
  std::vector<const OrtValue*> raw_values_;
  std::vector<OrtValue*> outputs_;
};

class OrtModel final : public Model {
 public:
  explicit OrtModel(const Options& options)
      : env_(Make(Ort().release_env, Ort().create_env, kLogErrors, "shipworthy")),
        session_(nullptr, Ort().release_session) {
    const auto settings = Make(Ort().release_options, Ort().create_options);
    Check(Ort().set_optimisation(settings.get(), kOptimiseAll));
    Check(Ort().set_intra_threads(settings.get(), options.threads));
    Check(Ort().set_inter_threads(settings.get(), 1));
    // The default, said aloud: waiting threads spin for a while, which is the shortest latency.
    Check(Ort().add_config(settings.get(), "session.intra_op.allow_spinning", "1"));
    const std::int64_t threads_before = ReadMemory().threads;
    session_ = Make(Ort().release_session, Ort().create_session,
                    const_cast<const OrtEnv*>(env_.get()), options.model.c_str(),
                    const_cast<const OrtSessionOptions*>(settings.get()));
    // Beside the calling thread the session has its pool, made just now.
    threads_ = static_cast<int>(ReadMemory().threads - threads_before) + 1;
    ReadSignature();
  }

  std::unique_ptr<Session> NewSession() override {
    return std::make_unique<OrtSessionRun>(session_.get(), inputs_, outputs_);
  }
  std::vector<TensorInfo> Inputs() const override { return inputs_; }
  std::vector<TensorInfo> Outputs() const override { return outputs_; }
  std::optional<int> Threads() const override { return threads_; }
  Settings RuntimeSettings() const override {
    return {{"graph_optimization_level", "ORT_ENABLE_ALL"},
            {"intra_op_threads", std::to_string(threads_)},
            {"inter_op_threads", "1"},
            {"session.intra_op.allow_spinning", "1"},
            {"workers", "share one OrtSession and its threads"}};
  }

 private:
  void ReadSignature() {
    OrtAllocator* allocator = nullptr;
    Check(Ort().default_allocator(&allocator));
    const OrtSession* session = session_.get();
    std::size_t count = 0;
    Check(Ort().input_count(session, &count));
    for (std::size_t i = 0; i < count; ++i) {
      char* name = nullptr;
      Check(Ort().input_name(session, i, allocator, &name));
      const auto type = Make(Ort().release_type, Ort().input_type, session, i);
      inputs_.push_back(ReadInfo(TakeString(name), type.get()));
    }
    Check(Ort().output_count(session, &count));
    for (std::size_t i = 0; i < count; ++i) {
      char* name = nullptr;
      Check(Ort().output_name(session, i, allocator, &name));
      const auto type = Make(Ort().release_type, Ort().output_type, session, i);
      outputs_.push_back(ReadInfo(TakeString(name), type.get()));
    }
  }

  const Handle<OrtEnv> env_;
  Handle<OrtSession> session_;
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
  int threads_ = 0;
};

}  // namespace

const char* RuntimeName() { return "onnxruntime"; }
std::string RuntimeVersion() { return Base().GetVersionString(); }
const char* RuntimeFormat() { return "onnx"; }
std::vector<KnownSetting> KnownSettings() { return {}; }

std::unique_ptr<Model> LoadModel(const Options& options) {
  ReadStart(options.model, 1);
  return std::make_unique<OrtModel>(options);
}

}  // namespace shipworthy
