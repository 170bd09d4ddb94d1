// The whole interface between the harness and a runtime. One runtime is linked into one binary.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tensor.h"

namespace shipworthy {

// Names and values: of what shapes the latency, in the runtime's own words, for the record; and of
// what the caller sets with --setting.
using Settings = std::vector<std::pair<std::string, std::string>>;

struct Options {
  std::string model;
  int threads = 1;
  std::int64_t null_ns = 0;  // null runtime only: how long one run spins
  Settings settings;         // those of KnownSettings() only, with one of their values
};

// A switch that the runtime has beside the model, and the values it takes.
struct KnownSetting {
  std::string name;
  std::vector<std::string> values;
};

// One worker's state.
class Session {
 public:
  virtual ~Session() = default;

  // Copies the inputs, which come in the order of Model::Inputs(). Untimed.
  virtual void SetInputs(const std::vector<Tensor>& inputs) = 0;

  // The only timed call. On return all outputs are allocated, dense and in host memory.
  virtual void Run() = 0;

  // Outputs of the last run, valid until the next Run or SetInputs. Untimed.
  virtual std::vector<Tensor> Outputs() = 0;
};

// Loaded once, shared by its sessions.
class Model {
 public:
  virtual ~Model() = default;

  // Called by the thread that will run the session, one call at a time. Sessions run side by side.
  virtual std::unique_ptr<Session> NewSession() = 0;

  // As the file declares them, in the runtime's order.
  virtual std::vector<TensorInfo> Inputs() const = 0;
  // Empty where the format names no outputs: then the first run tells.
  virtual std::vector<TensorInfo> Outputs() const = 0;

  // Threads read back from the runtime; empty where it offers no way.
  virtual std::optional<int> Threads() const { return std::nullopt; }
  virtual Settings RuntimeSettings() const { return {}; }
};

const char* RuntimeName();
std::string RuntimeVersion();
const char* RuntimeFormat();
std::vector<KnownSetting> KnownSettings();

// Timed as load_ns. Error if the model cannot be loaded.
std::unique_ptr<Model> LoadModel(const Options& options);

}  // namespace shipworthy
