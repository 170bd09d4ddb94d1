// SavedModel through TensorFlow's C API.
#include <tensorflow/c/c_api.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <map>

#include "files.h"
#include "runtime.h"
#include "wire.h"

namespace shipworthy {
namespace {

struct TypeName {
  int type;
  const char* name;
};
// Those the harness feeds come first; the others can only be named.
constexpr std::array<TypeName, 16> kTypes = {
    {{TF_FLOAT, "float32"}, {TF_DOUBLE, "float64"}, {TF_INT32, "int32"}, {TF_INT64, "int64"},
     {TF_UINT8, "uint8"}, {TF_BOOL, "bool"}, {TF_INT8, "int8"}, {TF_INT16, "int16"},
     {TF_UINT16, "uint16"}, {TF_UINT32, "uint32"}, {TF_UINT64, "uint64"}, {TF_HALF, "float16"},
     {TF_BFLOAT16, "bfloat16"}, {TF_STRING, "string"}, {TF_COMPLEX64, "complex64"},
     {TF_COMPLEX128, "complex128"}}};
constexpr std::array<Dtype, 6> kDtypes = {Dtype::kFloat32, Dtype::kFloat64, Dtype::kInt32,
                                          Dtype::kInt64,   Dtype::kUint8,   Dtype::kBool};

const char* TypeText(int type) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const TypeName& t) { return t.type == type; });
  return found == kTypes.end() ? "unknown" : found->name;
}

template <typename Object>
using Handle = std::unique_ptr<Object, void (*)(Object*)>;

Handle<TF_Status> NewStatus() { return {TF_NewStatus(), TF_DeleteStatus}; }

void Check(const char* doing, const Handle<TF_Status>& status) {
  if (TF_GetCode(status.get()) != TF_OK) {
    throw Error(std::string("TensorFlow, ") + doing + ": " + TF_Message(status.get()));
  }
}

// ConfigProto: intra_op_parallelism_threads = 2, inter_op_parallelism_threads = 5,
// use_per_session_threads = 9 (tensorflow/core/protobuf/config.proto).
std::string ThreadConfig(int intra, int inter) {
  std::string config;
  AddVarint(config, 2, intra);
  AddVarint(config, 5, inter);
  AddVarint(config, 9, 1);
  return config;
}

// TensorShapeProto: dim = 2 {size = 1}, unknown_rank = 3 (tensor_shape.proto).
std::optional<Shape> ReadShape(std::string_view bytes) {
  Shape shape;
  for (WireReader reader(bytes); reader.Next();) {
    if (reader.field() == 3 && reader.number() != 0) return std::nullopt;
    if (reader.field() != 2) continue;
    std::int64_t size = 0;
    for (WireReader dim(reader.value()); dim.Next();) {
      if (dim.field() == 1) size = static_cast<std::int64_t>(dim.number());
    }
    shape.push_back(size);
  }
  return shape;
}

// TensorInfo: name = 1, dtype = 2, tensor_shape = 3 (meta_graph.proto).
TensorInfo ReadTensorInfo(std::string_view bytes) {
  TensorInfo info{"", TypeText(0), Shape{}};
  for (WireReader reader(bytes); reader.Next();) {
    if (reader.field() == 1) info.name = reader.text();
    if (reader.field() == 2) info.dtype = TypeText(static_cast<int>(reader.number()));
    if (reader.field() == 3) info.shape = ReadShape(reader.value());
  }
  return info;
}

// An entry of a protobuf map: key = 1, value = 2.
std::pair<std::string, std::string_view> ReadEntry(std::string_view bytes) {
  std::pair<std::string, std::string_view> entry;
  for (WireReader reader(bytes); reader.Next();) {
    if (reader.field() == 1) entry.first = reader.text();
    if (reader.field() == 2) entry.second = reader.value();
  }
  return entry;
}

// SignatureDef: inputs = 1, outputs = 2. Sorted by the signature's names, since a map has no order;
// a tensor that bears two names counts once.
std::vector<TensorInfo> ReadTensors(std::string_view signature, int field) {
  std::map<std::string, TensorInfo> by_name;
  for (WireReader reader(signature); reader.Next();) {
    if (reader.field() != field) continue;
    const auto [name, bytes] = ReadEntry(reader.value());
    by_name[name] = ReadTensorInfo(bytes);
  }
  std::vector<TensorInfo> tensors;
  for (const auto& [name, info] : by_name) {
    const bool seen = std::any_of(tensors.begin(), tensors.end(),
                                  [&](const TensorInfo& other) { return other.name == info.name; });
    if (!seen) tensors.push_back(info);
  }
  return tensors;
}

// MetaGraphDef: signature_def = 5. Takes serving_default, else the only one that is not internal.
std::string FindSignature(std::string_view meta_graph) {
  std::map<std::string, std::string_view> found;
  for (WireReader reader(meta_graph); reader.Next();) {
    if (reader.field() != 5) continue;
    const auto [name, bytes] = ReadEntry(reader.value());
    if (!name.starts_with("__")) found[name] = bytes;
  }
  const auto standard = found.find("serving_default");
  if (standard != found.end()) return std::string(standard->second);
  if (found.size() == 1) return std::string(found.begin()->second);
  std::string names;
  for (const auto& [name, bytes] : found) names += (names.empty() ? "" : ", ") + name;
  throw Error("the SavedModel has no signature serving_default; it has " +
              (names.empty() ? "none" : names));
}

// "op:index", as the signature stores it.
TF_Output FindTensor(TF_Graph* graph, const std::string& name) {
  const std::size_t colon = name.rfind(':');
  int index = 0;
  if (colon != std::string::npos) {
    std::from_chars(name.data() + colon + 1, name.data() + name.size(), index);
  }
  TF_Operation* operation = TF_GraphOperationByName(graph, name.substr(0, colon).c_str());
  if (operation == nullptr || index < 0 || index >= TF_OperationNumOutputs(operation)) {
    throw Error("the signature names the tensor '" + name + "', which the graph has not");
  }
  return {operation, index};
}

class TfSession final : public Session {
 public:
  TfSession(TF_Session* session, TF_Graph* graph, const std::vector<TensorInfo>& inputs,
            const std::vector<TensorInfo>& outputs)
      : session_(session), output_infos_(outputs), results_(outputs.size(), nullptr) {
    for (const TensorInfo& info : inputs) inputs_.push_back(FindTensor(graph, info.name));
    for (const TensorInfo& info : outputs) outputs_.push_back(FindTensor(graph, info.name));
  }

  ~TfSession() override { DeleteResults(); }

  void SetInputs(const std::vector<Tensor>& inputs) override {
    raw_values_.clear();
    values_.clear();
    for (const Tensor& input : inputs) {
      const auto index = static_cast<std::size_t>(
          std::find(kDtypes.begin(), kDtypes.end(), input.dtype) - kDtypes.begin());
      const std::size_t bytes = input.bytes();
      Handle<TF_Tensor> value(
          TF_AllocateTensor(static_cast<TF_DataType>(kTypes[index].type), input.shape.data(),
                            static_cast<int>(input.shape.size()), bytes),
          TF_DeleteTensor);
      if (value == nullptr) throw std::bad_alloc();
      if (bytes > 0) std::memcpy(TF_TensorData(value.get()), input.data.get(), bytes);
      raw_values_.push_back(value.get());
      values_.push_back(std::move(value));
    }
  }

  void Run() override {
    DeleteResults();
    TF_SessionRun(session_, run_options_.get(), inputs_.data(), raw_values_.data(),
                  static_cast<int>(raw_values_.size()), outputs_.data(), results_.data(),
                  static_cast<int>(results_.size()), nullptr, 0, nullptr, status_.get());
    Check("running the model", status_);
  }

  std::vector<Tensor> Outputs() override {
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < results_.size(); ++i) {
      tensors.push_back(ReadResult(output_infos_[i].name, results_[i]));
    }
    return tensors;
  }

 private:
  void DeleteResults() {
    for (TF_Tensor*& result : results_) {
      if (result != nullptr) TF_DeleteTensor(result);
      result = nullptr;
    }
  }

  static Tensor ReadResult(const std::string& name, const TF_Tensor* result) {
    for (std::size_t i = 0; i < kDtypes.size(); ++i) {
      if (kTypes[i].type != TF_TensorType(result)) continue;
      Shape shape;
      for (int axis = 0; axis < TF_NumDims(result); ++axis) shape.push_back(TF_Dim(result, axis));
      return ViewTensor(name, kDtypes[i], std::move(shape), TF_TensorData(result));
    }
    throw Error("output '" + name + "' has the dtype " + TypeText(TF_TensorType(result)) +
                "; allowed: " + std::string(kDtypeNames));
  }

  // RunOptions: inter_op_thread_pool = 3; -1 is the caller's thread (config.proto). A hand-over to
  // the session's pool costs a small graph as much as all its operations.
  static Handle<TF_Buffer> OnCallersThread() {
    std::string options;
    AddVarint(options, 3, -1);
    return {TF_NewBufferFromString(options.data(), options.size()), TF_DeleteBuffer};
  }

  TF_Session* const session_;
  const Handle<TF_Buffer> run_options_ = OnCallersThread();
  const std::vector<TensorInfo> output_infos_;
  const Handle<TF_Status> status_ = NewStatus();
  std::vector<TF_Output> inputs_;
  std::vector<TF_Output> outputs_;
  std::vector<Handle<TF_Tensor>> values_;
  std::vector<TF_Tensor*> raw_values_;
  std::vector<TF_Tensor*> results_;
};

class TfModel final : public Model {
 public:
  explicit TfModel(const Options& options)
      : intra_threads_(options.threads), graph_(TF_NewGraph(), TF_DeleteGraph) {
    const Handle<TF_SessionOptions> settings(TF_NewSessionOptions(), TF_DeleteSessionOptions);
    const Handle<TF_Buffer> meta_graph(TF_NewBuffer(), TF_DeleteBuffer);
    const auto status = NewStatus();
    const std::string config = ThreadConfig(intra_threads_, kInterThreads);
    TF_SetConfig(settings.get(), config.data(), config.size(), status.get());
    Check("setting the threads", status);
    const char* tag = "serve";
    session_ = TF_LoadSessionFromSavedModel(settings.get(), nullptr, options.model.c_str(), &tag, 1,
                                            graph_.get(), meta_graph.get(), status.get());
    Check("loading the model", status);
    const std::string signature = FindSignature(
        {static_cast<const char*>(meta_graph->data), meta_graph->length});
    inputs_ = ReadTensors(signature, 1);
    outputs_ = ReadTensors(signature, 2);
  }

  ~TfModel() override {
    if (session_ == nullptr) return;
    const auto status = NewStatus();
    TF_CloseSession(session_, status.get());
    TF_DeleteSession(session_, status.get());
  }

  std::unique_ptr<Session> NewSession() override {
    return std::make_unique<TfSession>(session_, graph_.get(), inputs_, outputs_);
  }
  std::vector<TensorInfo> Inputs() const override { return inputs_; }
  std::vector<TensorInfo> Outputs() const override { return outputs_; }
  Settings RuntimeSettings() const override {
    return {{"intra_op_threads", std::to_string(intra_threads_)},
            {"inter_op_threads", "the caller's"},
            {"use_per_session_threads", "true"},
            {"workers", "share one TF_Session and its threads"}};
  }

 private:
  static constexpr int kInterThreads = 1;

  const int intra_threads_;
  const Handle<TF_Graph> graph_;
  TF_Session* session_ = nullptr;
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
};

}  // namespace

const char* RuntimeName() { return "tensorflow"; }
std::string RuntimeVersion() { return TF_Version(); }
const char* RuntimeFormat() { return "saved_model"; }
std::vector<KnownSetting> KnownSettings() { return {}; }

std::unique_ptr<Model> LoadModel(const Options& options) {
  RequireFolder(options.model);
  return std::make_unique<TfModel>(options);
}

}  // namespace shipworthy
