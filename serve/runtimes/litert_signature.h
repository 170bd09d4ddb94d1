// What a TFLite file says of its inputs and outputs, read through LiteRT.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "litert_api.h"
#include "litert_buffer.h"
#include "runtime.h"

namespace shipworthy {

struct Element {
  int type;
  const char* name;
  Dtype dtype;
  bool can_feed;
};
// kLiteRtElementType*, which are kTfLite*'s.
inline constexpr std::array<Element, 10> kElements = {{{1, "float32", Dtype::kFloat32, true},
                                                       {11, "float64", Dtype::kFloat64, true},
                                                       {2, "int32", Dtype::kInt32, true},
                                                       {4, "int64", Dtype::kInt64, true},
                                                       {3, "uint8", Dtype::kUint8, true},
                                                       {6, "bool", Dtype::kBool, true},
                                                       {9, "int8", Dtype::kUint8, false},
                                                       {7, "int16", Dtype::kInt32, false},
                                                       {10, "float16", Dtype::kFloat32, false},
                                                       {5, "string", Dtype::kUint8, false}}};

inline const Element* FindElement(int type) {
  const auto found = std::find_if(kElements.begin(), kElements.end(),
                                  [&](const Element& e) { return e.type == type; });
  return found == kElements.end() ? nullptr : &*found;
}

inline Shape ToShape(const LiteRtLayoutFacts& layout) {
  return {layout.dimensions, layout.dimensions + layout.rank};
}

struct SignatureTensor {
  TensorInfo info;
  LiteRtTensorTypeFacts type{};
};

inline SignatureTensor ReadTensor(const char* name, LiteRtTensorT* tensor) {
  SignatureTensor read{{name, std::nullopt, std::nullopt}, {}};
  int type_id = 0;
  Check("reading the signature", LiteRtGetTensorTypeId(tensor, &type_id));
  if (type_id != 0) throw Error(std::string("tensor '") + name + "' has no rank, so it cannot be run");
  Check("reading the signature", LiteRtGetRankedTensorType(tensor, &read.type));
  const Element* element = FindElement(read.type.element_type);
  read.info.dtype = element == nullptr ? "unknown" : element->name;
  read.info.shape = ToShape(read.type.layout);
  return read;
}

template <typename Count, typename NameOf, typename TensorOf>
std::vector<SignatureTensor> ReadTensors(LiteRtSignatureT* signature, Count count_of,
                                         NameOf name_of, TensorOf tensor_of) {
  std::size_t count = 0;
  Check("reading the signature", count_of(signature, &count));
  std::vector<SignatureTensor> tensors;
  for (std::size_t i = 0; i < count; ++i) {
    const char* name = nullptr;
    LiteRtTensorT* tensor = nullptr;
    Check("reading the signature", name_of(signature, i, &name));
    Check("reading the signature", tensor_of(signature, i, &tensor));
    tensors.push_back(ReadTensor(name, tensor));
  }
  return tensors;
}

}  // namespace shipworthy
