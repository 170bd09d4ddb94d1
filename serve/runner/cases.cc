#include "cases.h"

#include <algorithm>

#include "npy.h"

namespace shipworthy {
namespace {

template <typename Items>
std::string Names(const Items& items) {
  std::string names;
  for (const auto& item : items) names += (names.empty() ? "'" : ", '") + item.name + "'";
  return names.empty() ? "none" : names;
}

template <typename Items>
auto Find(Items& items, const std::string& name) {
  return std::find_if(items.begin(), items.end(),
                      [&](const auto& item) { return item.name == name; });
}

bool Fits(const Shape& shape, const Shape& declared) {
  return std::equal(shape.begin(), shape.end(), declared.begin(), declared.end(),
                    [](std::int64_t size, std::int64_t wanted) {
                      return wanted < 0 || size == wanted;
                    });
}

void CheckInput(const std::string& where, const Tensor& tensor, const TensorInfo& info) {
  if (info.dtype && *info.dtype != Name(tensor.dtype)) {
    throw Error(where + "input '" + info.name + "' is " + Name(tensor.dtype) +
                "; the model takes " + *info.dtype);
  }
  if (info.shape && !Fits(tensor.shape, *info.shape)) {
    throw Error(where + "input '" + info.name + "' has the shape " + ToString(tensor.shape) +
                "; the model takes " + ToString(*info.shape) +
                (std::count(info.shape->begin(), info.shape->end(), -1) > 0 ? " (-1 is any size)"
                                                                            : ""));
  }
}

[[noreturn]] void UnknownOutput(const CaseFiles& files, const std::string& name,
                                const std::string& known) {
  throw Error("case '" + files.name + "' asks for output '" + name + "'; the model has " + known);
}

}  // namespace

std::vector<Tensor> ReadInputs(const CaseFiles& files) {
  std::vector<Tensor> inputs;
  for (const auto& [name, path] : files.inputs) inputs.push_back(ReadNpy(path, name));
  return inputs;
}

std::vector<Tensor> MatchInputs(const std::string& case_name, std::vector<Tensor> given,
                                const std::vector<TensorInfo>& declared) {
  const std::string where = "case '" + case_name + "': ";
  for (const Tensor& tensor : given) {
    if (Find(declared, tensor.name) == declared.end()) {
      throw Error(where + "unknown input '" + tensor.name + "'; the model has " + Names(declared));
    }
  }
  std::vector<Tensor> ordered;
  for (const TensorInfo& info : declared) {
    const auto found = Find(given, info.name);
    if (found == given.end()) {
      throw Error(where + "input '" + info.name + "' is missing; given: " + Names(given));
    }
    ordered.push_back(*found);
  }
  return ordered;
}

void CheckInputs(const std::string& case_name, const std::vector<Tensor>& inputs,
                 const std::vector<TensorInfo>& declared) {
  const std::string where = "case '" + case_name + "': ";
  for (std::size_t i = 0; i < declared.size(); ++i) CheckInput(where, inputs[i], declared[i]);
}

std::vector<std::vector<Tensor>> Slice(const std::string& case_name,
                                       const std::vector<Tensor>& inputs,
                                       const std::optional<std::int64_t>& rows) {
  if (!rows) return {inputs};
  std::optional<std::int64_t> total;
  for (const Tensor& tensor : inputs) {
    const std::string where =
        "case '" + case_name + "': --rows " + std::to_string(*rows) + " cannot cut input '" +
        tensor.name + "' of shape " + ToString(tensor.shape) + ": ";
    if (tensor.shape.empty()) throw Error(where + "it has no axis");
    const std::int64_t size = tensor.shape[0];
    if (size == 0 || size % *rows != 0) throw Error(where + "the first axis does not divide");
    if (total && *total != size) {
      throw Error(where + "another input has " + std::to_string(*total) + " rows");
    }
    total = size;
  }
  if (!total) throw Error("case '" + case_name + "': --rows cannot cut a case without inputs");
  std::vector<std::vector<Tensor>> slices;
  for (std::int64_t begin = 0; begin < *total; begin += *rows) {
    std::vector<Tensor>& slice = slices.emplace_back();
    for (const Tensor& tensor : inputs) slice.push_back(SliceRows(tensor, begin, *rows));
  }
  return slices;
}

void WriteOutputs(const CaseFiles& files, const std::vector<Tensor>& outputs) {
  for (const auto& [name, path] : files.outputs) {
    const auto found = Find(outputs, name);
    if (found == outputs.end()) UnknownOutput(files, name, Names(outputs));
    WriteNpy(path, *found);
  }
}

std::vector<Tensor> Keep(const std::vector<Tensor>& outputs) {
  std::vector<Tensor> kept;
  for (const Tensor& output : outputs) {
    kept.push_back(MakeTensor(output.name, output.dtype, output.shape, output.data.get()));
  }
  return kept;
}

std::vector<Tensor> Join(const std::vector<std::vector<Tensor>>& slices) {
  if (slices.size() == 1) return slices[0];
  std::vector<Tensor> joined;
  for (std::size_t i = 0; i < slices[0].size(); ++i) {
    std::vector<Tensor> parts;
    for (const std::vector<Tensor>& slice : slices) {
      if (slice.size() != slices[0].size()) throw Error("the number of outputs differs by slice");
      parts.push_back(slice[i]);
    }
    joined.push_back(ConcatenateRows(parts));
  }
  return joined;
}

void CheckOutputNames(const CaseFiles& files, const std::vector<TensorInfo>& declared) {
  if (declared.empty()) return;
  for (const auto& [name, path] : files.outputs) {
    if (Find(declared, name) == declared.end()) UnknownOutput(files, name, Names(declared));
  }
}

}  // namespace shipworthy
