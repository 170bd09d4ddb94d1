// TFLite files through LiteRT's C API, on the CPU (XNNPACK). The first signature is run.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "litert_api.h"
#include "litert_buffer.h"
#include "litert_signature.h"
#include "process.h"
#include "runtime.h"
#include "tflite_check.h"

namespace shipworthy {
namespace {

constexpr int kCpu = 1;  // kLiteRtHwAcceleratorCpu

template <typename Object>
using Handle = std::unique_ptr<Object, void (*)(Object*)>;

class LiteRtSession final : public Session {
 public:
  LiteRtSession(LiteRtEnvironmentT* environment, Handle<LiteRtCompiledModelT> model,
                const std::vector<SignatureTensor>& inputs,
                const std::vector<SignatureTensor>& outputs)
      : environment_(environment),
        compiled_(std::move(model)),
        model_(compiled_.get()),
        inputs_(inputs),
        outputs_(outputs) {}

  void SetInputs(const std::vector<Tensor>& inputs) override {
    output_buffers_.clear();
    input_buffers_.clear();
    bool resized = false;
    for (std::size_t i = 0; i < inputs.size(); ++i) resized = Resize(i, inputs[i].shape) || resized;
    if (resized || !prepared_) PrepareOutputs();
    raw_inputs_.clear();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      LiteRtTensorBufferRequirementsT* requirements = nullptr;
      Check("asking for an input's buffer",
            LiteRtGetCompiledModelInputBufferRequirements(model_, 0, i, &requirements));
      Buffer& buffer = input_buffers_.emplace_back(environment_, inputs_[i].type, requirements);
      const std::size_t bytes = inputs[i].bytes();
      void* target = buffer.Lock(kLockWrite);
      if (bytes > 0) std::memcpy(target, inputs[i].data.get(), bytes);
      buffer.Unlock();
      raw_inputs_.push_back(buffer.get());
    }
    if (resized && HasOpenOutputs()) MeasureOutputs();
  }

  void Run() override {
    output_buffers_.clear();
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (measured_bytes_.empty()) {
        output_buffers_.emplace_back(environment_, outputs_[i].type, requirements_[i]);
      } else {
        output_buffers_.emplace_back(environment_, outputs_[i].type, measured_bytes_[i]);
      }
    }
    RunInto(output_buffers_);
    for (Buffer& buffer : output_buffers_) buffer.Lock(kLockRead);
  }

  std::vector<Tensor> Outputs() override {
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const LiteRtTensorTypeFacts& type = outputs_[i].type;
      const Element* element = FindElement(type.element_type);
      if (element == nullptr || !element->can_feed) {
        throw Error("output '" + outputs_[i].info.name + "' has the dtype " +
                    *outputs_[i].info.dtype + "; allowed: " + std::string(kDtypeNames));
      }
      tensors.push_back(ViewTensor(outputs_[i].info.name, element->dtype, ToShape(type.layout),
                                   output_buffers_.at(i).data()));
    }
    return tensors;
  }

 private:
  // Gives input i this shape. Returns whether it had another.
  bool Resize(std::size_t i, const Shape& shape) {
    LiteRtLayoutFacts& layout = inputs_[i].type.layout;
    if (prepared_ && ToShape(layout) == shape) return false;
    LiteRtLayoutFacts current{};
    Check("reading a shape", LiteRtGetCompiledModelInputTensorLayout(model_, 0, i, &current));
    const std::vector<int> dims(shape.begin(), shape.end());
    const bool same = ToShape(current) == shape;
    if (!same) {
      Check("resizing an input",
            LiteRtCompiledModelResizeInputTensor(model_, 0, i, dims.data(), dims.size()));
    }
    std::copy(dims.begin(), dims.end(), layout.dimensions);
    return !same;
  }

  void PrepareOutputs() {
    std::vector<LiteRtLayoutFacts> layouts(outputs_.size());
    Check("working out the outputs' shapes",
          LiteRtGetCompiledModelOutputTensorLayouts(model_, 0, layouts.size(), layouts.data(),
                                                    true));
    requirements_.assign(outputs_.size(), nullptr);
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      outputs_[i].type.layout = layouts[i];
      for (const std::int64_t size : ToShape(layouts[i])) {
        if (size < 0) {
          throw Error("the shape of output '" + outputs_[i].info.name +
                      "' depends on the inputs' values, which LiteRT cannot allocate for");
        }
      }
      Check("asking for an output's buffer",
            LiteRtGetCompiledModelOutputBufferRequirements(model_, 0, i, &requirements_[i]));
    }
    measured_bytes_.clear();
    prepared_ = true;
  }

  void RunInto(const std::vector<Buffer>& outputs) {
    raw_outputs_.clear();
    for (const Buffer& buffer : outputs) raw_outputs_.push_back(buffer.get());
    Check("running the model",
          LiteRtRunCompiledModel(model_, 0, raw_inputs_.size(), raw_inputs_.data(),
                                 raw_outputs_.size(), raw_outputs_.data()));
  }

  // Whether the file leaves a size of an output open.
  bool HasOpenOutputs() const {
    return std::any_of(outputs_.begin(), outputs_.end(), [](const SignatureTensor& output) {
      return std::any_of(output.info.shape->begin(), output.info.shape->end(),
                         [](std::int64_t size) { return size < 0; });
    });
  }

  // Behind a reshape to a computed shape LiteRT learns an output's size only by running, reports
  // the file's until then, and writes past a buffer of that size. So the sizes are found by one run
  // into more space than any output takes.
  void MeasureOutputs() {
    std::vector<Spare> spares(outputs_.size());
    std::vector<Buffer> buffers;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      buffers.emplace_back(outputs_[i].type, spares[i].get(), kSpareBytes);
    }
    RunInto(buffers);
    std::vector<LiteRtLayoutFacts> layouts(outputs_.size());
    Check("working out the outputs' shapes",
          LiteRtGetCompiledModelOutputTensorLayouts(model_, 0, layouts.size(), layouts.data(),
                                                    false));
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      outputs_[i].type.layout = layouts[i];
      const Element* element = FindElement(outputs_[i].type.element_type);
      const Dtype dtype = element == nullptr ? Dtype::kFloat64 : element->dtype;
      measured_bytes_.push_back(std::max<std::size_t>(ByteCount(dtype, ToShape(layouts[i])), 1));
    }
  }

  LiteRtEnvironmentT* const environment_;
  const Handle<LiteRtCompiledModelT> compiled_;
  LiteRtCompiledModelT* const model_;
  std::vector<SignatureTensor> inputs_;   // with the shapes of the last SetInputs
  std::vector<SignatureTensor> outputs_;
  std::vector<LiteRtTensorBufferRequirementsT*> requirements_;  // the model's
  std::vector<std::size_t> measured_bytes_;  // the outputs' true sizes, where they had to be found
  std::vector<Buffer> input_buffers_;
  std::vector<Buffer> output_buffers_;
  std::vector<LiteRtTensorBufferT*> raw_inputs_;
  std::vector<LiteRtTensorBufferT*> raw_outputs_;
  bool prepared_ = false;
};

class LiteRtModel final : public Model {
 public:
  explicit LiteRtModel(const Options& options)
      : settings_(MakeOptions(options.threads)),
        model_(nullptr, LiteRtDestroyModel),
        compiled_(nullptr, LiteRtDestroyCompiledModel) {
    Check("starting", LiteRtCreateEnvironment(0, nullptr, &environment_));
    LiteRtModelT* model = nullptr;
    Check("loading the model",
          LiteRtCreateModelFromFile(environment_, options.model.c_str(), &model));
    model_.reset(model);
    ReadSignature();
    const std::int64_t threads_before = ReadMemory().threads;
    compiled_ = Compile();
    // Beside the calling thread the model has XNNPACK's pool, made just now.
    threads_ = static_cast<int>(ReadMemory().threads - threads_before) + 1;
  }

  // A compiled model has one set of inner tensors, so it can serve one session only; the first has
  // the one that was made while loading.
  std::unique_ptr<Session> NewSession() override {
    auto compiled = compiled_ == nullptr ? Compile() : std::move(compiled_);
    return std::make_unique<LiteRtSession>(environment_, std::move(compiled), inputs_, outputs_);
  }
  std::vector<TensorInfo> Inputs() const override { return Infos(inputs_); }
  std::vector<TensorInfo> Outputs() const override { return Infos(outputs_); }
  std::optional<int> Threads() const override { return threads_; }
  Settings RuntimeSettings() const override {
    return {{"accelerator", "cpu"},
            {"num_threads", std::to_string(threads_)},
            {"workers", "one compiled model and its threads each"}};
  }

 private:
  static std::vector<TensorInfo> Infos(const std::vector<SignatureTensor>& tensors) {
    std::vector<TensorInfo> infos;
    for (const SignatureTensor& tensor : tensors) infos.push_back(tensor.info);
    return infos;
  }

  Handle<LiteRtCompiledModelT> Compile() const {
    LiteRtCompiledModelT* compiled = nullptr;
    Check("preparing the model",
          LiteRtCreateCompiledModel(environment_, model_.get(), settings_.get(), &compiled));
    return {compiled, LiteRtDestroyCompiledModel};
  }

  // The number of threads is an opaque option: a text in TOML under the name "xnnpack"
  // (litert/c/options/litert_cpu_options.cc).
  static Handle<LiteRtOptionsT> MakeOptions(int threads) {
    LiteRtOptionsT* options = nullptr;
    Check("making options", LiteRtCreateOptions(&options));
    Handle<LiteRtOptionsT> owned(options, LiteRtDestroyOptions);
    Check("choosing the CPU", LiteRtSetOptionsHardwareAccelerators(options, kCpu));
    char* text = strdup(("num_threads = " + std::to_string(threads) + "\n").c_str());
    if (text == nullptr) throw std::bad_alloc();
    LiteRtOpaqueOptionsT* opaque = nullptr;
    Check("setting the threads", LiteRtCreateOpaqueOptions("xnnpack", text, std::free, &opaque));
    Check("setting the threads", LiteRtAddOpaqueOptions(options, opaque));
    return owned;
  }

  void ReadSignature() {
    std::size_t count = 0;
    Check("reading the signature", LiteRtGetNumModelSignatures(model_.get(), &count));
    if (count == 0) throw Error("the model has no signature");
    LiteRtSignatureT* signature = nullptr;
    Check("reading the signature", LiteRtGetModelSignature(model_.get(), 0, &signature));
    inputs_ = ReadTensors(signature, LiteRtGetNumSignatureInputs, LiteRtGetSignatureInputName,
                          LiteRtGetSignatureInputTensorByIndex);
    outputs_ = ReadTensors(signature, LiteRtGetNumSignatureOutputs, LiteRtGetSignatureOutputName,
                           LiteRtGetSignatureOutputTensorByIndex);
  }

  LiteRtEnvironmentT* environment_ = nullptr;  // lives as long as the process
  const Handle<LiteRtOptionsT> settings_;
  Handle<LiteRtModelT> model_;
  Handle<LiteRtCompiledModelT> compiled_;  // for the first session
  std::vector<SignatureTensor> inputs_;
  std::vector<SignatureTensor> outputs_;
  int threads_ = 0;
};

}  // namespace

const char* RuntimeName() { return "litert"; }
std::string RuntimeVersion() { return SHIPWORTHY_LITERT_VERSION; }
const char* RuntimeFormat() { return "tflite"; }
std::vector<KnownSetting> KnownSettings() { return {}; }

std::unique_ptr<Model> LoadModel(const Options& options) {
  CheckTflite(options.model);
  return std::make_unique<LiteRtModel>(options);
}

}  // namespace shipworthy
