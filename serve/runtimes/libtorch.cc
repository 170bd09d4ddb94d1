// TorchScript through LibTorch's C++ API. Only libtorch_cpu and libc10 are linked: the library that
// binds Python is a third one.
//
// A TorchScript file stores the names of forward's arguments, but neither dtypes nor shapes nor
// names of outputs. Outputs are named by their dict key, else output_0, output_1, ... in the order
// of the flattened tuples and lists.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/codegen/onednn/interface.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/version.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "files.h"
#include "runtime.h"

namespace shipworthy {
namespace {

constexpr std::string_view kZipMagic("PK\x03\x04", 4);

// oneDNN's graph compiler: whole chains of operators, compiled anew for every set of sizes.
constexpr const char* kFusion = "onednn_fusion";

struct Scalar {
  Dtype dtype;
  c10::ScalarType type;
};
constexpr std::array<Scalar, 6> kScalars = {{{Dtype::kFloat32, c10::ScalarType::Float},
                                             {Dtype::kFloat64, c10::ScalarType::Double},
                                             {Dtype::kInt32, c10::ScalarType::Int},
                                             {Dtype::kInt64, c10::ScalarType::Long},
                                             {Dtype::kUint8, c10::ScalarType::Byte},
                                             {Dtype::kBool, c10::ScalarType::Bool}}};

// LibTorch's messages end with a C++ backtrace, and those of the interpreter begin with a Python
// one. What is wrong stands in the line that names the error, or in the first.
std::string Shorten(const std::string& message) {
  std::size_t begin = message.rfind("RuntimeError: ");
  if (begin == std::string::npos) begin = 0;
  return message.substr(begin, message.find('\n', begin) - begin);
}

template <typename Function>
auto Translate(const char* doing, Function function) {
  try {
    return function();
  } catch (const Error&) {
    throw;
  } catch (const c10::Error& e) {
    throw Error(std::string("LibTorch, ") + doing + ": " + Shorten(e.what_without_backtrace()));
  } catch (const std::exception& e) {
    throw Error(std::string("LibTorch, ") + doing + ": " + Shorten(e.what()));
  }
}

// Visits every tensor of a result, in order. The name is a dict's key, or empty.
template <typename Visit>
void Flatten(const c10::IValue& value, const std::string& name, const Visit& visit) {
  if (value.isTensor()) {
    visit(name, value.toTensor());
  } else if (value.isTuple()) {
    for (const c10::IValue& item : value.toTupleRef().elements()) Flatten(item, "", visit);
  } else if (value.isTensorList()) {
    for (const at::Tensor& item : value.toTensorVector()) visit("", item);
  } else if (value.isList()) {
    for (const c10::IValue& item : value.toListRef()) Flatten(item, "", visit);
  } else if (value.isGenericDict()) {
    for (const auto& item : value.toGenericDict()) {
      if (!item.key().isString()) throw Error("the model returns a dict whose keys are no strings");
      Flatten(item.value(), item.key().toStringRef(), visit);
    }
  } else {
    throw Error("the model returns a " + value.tagKind() +
                "; allowed: tensors, and tuples, lists and dicts of them");
  }
}

class TorchSession final : public Session {
 public:
  explicit TorchSession(torch::jit::Method forward) : forward_(std::move(forward)) {}

  void SetInputs(const std::vector<Tensor>& inputs) override {
    const c10::InferenceMode guard;
    inputs_.clear();
    for (const Tensor& input : inputs) {
      const auto scalar = std::find_if(kScalars.begin(), kScalars.end(),
                                       [&](const Scalar& s) { return s.dtype == input.dtype; });
      at::Tensor tensor = at::empty(input.shape, scalar->type);
      const std::size_t bytes = input.bytes();
      if (bytes > 0) std::memcpy(tensor.mutable_data_ptr(), input.data.get(), bytes);
      inputs_.emplace_back(std::move(tensor));
    }
  }

  void Run() override {
    Translate("running the model", [this] {
      const c10::InferenceMode guard;
      outputs_.clear();
      result_ = c10::IValue();
      result_ = forward_(inputs_);
      // A result may be a view in any order of axes; whoever reads it needs it dense.
      Flatten(result_, "", [this](const std::string&, const at::Tensor& tensor) {
        outputs_.push_back(tensor.contiguous());
      });
    });
  }

  std::vector<Tensor> Outputs() override {
    std::vector<Tensor> tensors;
    std::set<std::string> names;
    Flatten(result_, "", [&](const std::string& key, const at::Tensor&) {
      const at::Tensor& output = outputs_[tensors.size()];
      const std::string name = key.empty() ? "output_" + std::to_string(tensors.size()) : key;
      if (!names.insert(name).second) {
        throw Error("the model returns two outputs named '" + name + "'");
      }
      const auto scalar =
          std::find_if(kScalars.begin(), kScalars.end(),
                       [&](const Scalar& s) { return s.type == output.scalar_type(); });
      if (scalar == kScalars.end()) {
        throw Error("output '" + name + "' has the dtype " + c10::toString(output.scalar_type()) +
                    "; allowed: " + std::string(kDtypeNames));
      }
      tensors.push_back(
          ViewTensor(name, scalar->dtype, output.sizes().vec(), output.const_data_ptr()));
    });
    return tensors;
  }

 private:
  torch::jit::Method forward_;
  std::vector<c10::IValue> inputs_;
  c10::IValue result_;
  std::vector<at::Tensor> outputs_;
};

class TorchModel final : public Model {
 public:
  explicit TorchModel(const std::string& path)
      : module_(torch::jit::load(path, c10::Device(c10::kCPU))) {
    const auto& arguments = Forward().function().getSchema().arguments();
    for (std::size_t i = 1; i < arguments.size(); ++i) {  // argument 0 is self
      const c10::Argument& argument = arguments[i];
      const bool tensor = argument.type()->isSubtypeOf(*c10::TensorType::get());
      if (!tensor) {
        throw Error("argument '" + argument.name() + "' of forward is a " +
                    argument.type()->str() + "; only tensors can be run");
      }
      const std::string name =
          argument.name().empty() ? "input_" + std::to_string(i - 1) : argument.name();
      inputs_.push_back({name, std::nullopt, std::nullopt});
    }
  }

  // The number of threads of OpenMP is the calling thread's own; a new thread has to be told it.
  std::unique_ptr<Session> NewSession() override {
    at::init_num_threads();
    return std::make_unique<TorchSession>(Forward());
  }
  std::vector<TensorInfo> Inputs() const override { return inputs_; }
  std::vector<TensorInfo> Outputs() const override { return {}; }
  std::optional<int> Threads() const override { return at::get_num_threads(); }
  Settings RuntimeSettings() const override {
    return {{"intra_op_threads", std::to_string(at::get_num_threads())},
            {"inter_op_threads", std::to_string(at::get_num_interop_threads())},
            {"gradients", "InferenceMode"},
            {"workers", "share one module, each with threads of its own"},
            {kFusion, torch::jit::RegisterLlgaFuseGraph::isEnabled() ? "1" : "0"}};
  }

 private:
  torch::jit::Method Forward() const {
    const auto method = module_.find_method("forward");
    if (!method) throw Error("the module has no method forward");
    return *method;
  }

  const torch::jit::Module module_;
  std::vector<TensorInfo> inputs_;
};

}  // namespace

const char* RuntimeName() { return "libtorch"; }
std::string RuntimeVersion() { return TORCH_VERSION; }
const char* RuntimeFormat() { return "torchscript"; }
std::vector<KnownSetting> KnownSettings() { return {{kFusion, {"0", "1"}}}; }

std::unique_ptr<Model> LoadModel(const Options& options) {
  if (ReadStart(options.model, kZipMagic.size()) != kZipMagic) {
    throw Error("cannot load " + options.model + ": it is no TorchScript file (not a zip archive)");
  }
  return Translate("loading the model", [&] {
    at::set_num_threads(options.threads);
    at::set_num_interop_threads(1);
    for (const auto& [name, value] : options.settings) {
      if (name == kFusion) torch::jit::RegisterLlgaFuseGraph::setEnabled(value == "1");
    }
    const c10::InferenceMode guard;  // weights that no gradient is ever asked of
    return std::make_unique<TorchModel>(options.model);
  });
}

}  // namespace shipworthy
