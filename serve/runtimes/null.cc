// A runtime that computes nothing: it echoes its inputs after spinning for --null-ns. With it the
// harness is tested, and its own overhead is known.
//
// Its model is a text file, one line a tensor: "NAME DTYPE SIZE,SIZE,...", where -1 is a dynamic
// axis and "-" stands for no axes, as in "x float32 -1,8". Every input is an output of its name.
#include <charconv>
#include <sstream>

#include "files.h"
#include "process.h"
#include "runtime.h"

namespace shipworthy {
namespace {

constexpr std::size_t kMostModelBytes = 1 << 20;

class NullSession final : public Session {
 public:
  explicit NullSession(std::int64_t spin_ns) : spin_ns_(spin_ns) {}

  void SetInputs(const std::vector<Tensor>& inputs) override {
    inputs_.clear();
    for (const Tensor& input : inputs) {
      inputs_.push_back(MakeTensor(input.name, input.dtype, input.shape, input.data.get()));
    }
  }

  void Run() override {
    if (spin_ns_ == 0) return;
    const std::int64_t end = NowNs() + spin_ns_;
    while (NowNs() < end) {
    }
  }

  std::vector<Tensor> Outputs() override { return inputs_; }

 private:
  const std::int64_t spin_ns_;
  std::vector<Tensor> inputs_;
};

class NullModel final : public Model {
 public:
  NullModel(std::vector<TensorInfo> tensors, const Options& options)
      : tensors_(std::move(tensors)), options_(options) {}

  std::unique_ptr<Session> NewSession() override {
    return std::make_unique<NullSession>(options_.null_ns);
  }
  std::vector<TensorInfo> Inputs() const override { return tensors_; }
  std::vector<TensorInfo> Outputs() const override { return tensors_; }
  std::optional<int> Threads() const override { return 1; }
  Settings RuntimeSettings() const override {
    return {{"null_ns", std::to_string(options_.null_ns)}};
  }

 private:
  const std::vector<TensorInfo> tensors_;
  const Options options_;
};

Shape ParseShape(const std::string& text) {
  Shape shape;
  if (text == "-") return shape;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::int64_t size = 0;
    const auto [stop, fault] = std::from_chars(text.data() + begin, text.data() + end, size);
    if (fault != std::errc() || stop != text.data() + end || size < -1) {
      throw Error("'" + text + "' is no shape");
    }
    shape.push_back(size);
    begin = end + 1;
  }
  return shape;
}

std::vector<TensorInfo> ParseModel(const std::string& text) {
  std::vector<TensorInfo> tensors;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::string dtype;
    std::string shape;
    std::string rest;
    if (!(words >> name >> dtype >> shape) || words >> rest) {
      throw Error("line " + std::to_string(tensors.size() + 1) + " is not NAME DTYPE SHAPE");
    }
    tensors.push_back({name, dtype, ParseShape(shape)});
  }
  if (tensors.empty()) throw Error("it declares no tensor");
  return tensors;
}

}  // namespace

const char* RuntimeName() { return "null"; }
std::string RuntimeVersion() { return "1"; }
const char* RuntimeFormat() { return "null"; }
std::vector<KnownSetting> KnownSettings() { return {}; }

std::unique_ptr<Model> LoadModel(const Options& options) {
  File file(options.model);
  if (file.remaining() > kMostModelBytes) {
    throw Error("cannot load " + options.model + ": it is larger than 1 MiB");
  }
  std::string text(file.remaining(), '\0');
  file.Read(text.data(), text.size(), "the model");
  try {
    return std::make_unique<NullModel>(ParseModel(text), options);
  } catch (const Error& e) {
    throw Error("cannot load " + options.model + ": " + e.what());
  }
}

}  // namespace shipworthy
