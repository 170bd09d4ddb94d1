#include "tensor.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

namespace shipworthy {

const char* Name(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat32: return "float32";
    case Dtype::kFloat64: return "float64";
    case Dtype::kInt32: return "int32";
    case Dtype::kInt64: return "int64";
    case Dtype::kUint8: return "uint8";
    case Dtype::kBool: return "bool";
  }
  throw Error("unknown dtype");
}

std::size_t ItemSize(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat32:
    case Dtype::kInt32: return 4;
    case Dtype::kFloat64:
    case Dtype::kInt64: return 8;
    case Dtype::kUint8:
    case Dtype::kBool: return 1;
  }
  throw Error("unknown dtype");
}

std::string ToString(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

std::size_t ByteCount(Dtype dtype, const Shape& shape) {
  constexpr auto kMost = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
  std::size_t bytes = ItemSize(dtype);
  bool empty = false;
  for (const std::int64_t size : shape) {
    if (size < 0) throw Error("the shape " + ToString(shape) + " has a negative size");
    if (size == 0) {
      empty = true;
    } else if (static_cast<std::uint64_t>(size) > kMost / bytes) {
      throw Error("the shape " + ToString(shape) + " is larger than any memory");
    } else {
      bytes *= static_cast<std::size_t>(size);
    }
  }
  return empty ? 0 : bytes;
}

std::shared_ptr<std::byte> Allocate(std::size_t bytes) {
  constexpr std::size_t kAlignment = 64;
  const std::size_t rounded = (bytes / kAlignment + 1) * kAlignment;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded));
  if (memory == nullptr) throw std::bad_alloc();
  return {memory, [](std::byte* pointer) { std::free(pointer); }};
}

Tensor MakeTensor(std::string name, Dtype dtype, Shape shape, const void* source) {
  Tensor tensor{std::move(name), dtype, std::move(shape), nullptr};
  const std::size_t bytes = tensor.bytes();
  auto memory = Allocate(bytes);
  if (source != nullptr && bytes > 0) std::memcpy(memory.get(), source, bytes);
  tensor.data = std::move(memory);
  return tensor;
}

Tensor ViewTensor(std::string name, Dtype dtype, Shape shape, const void* source) {
  std::shared_ptr<const std::byte> view(static_cast<const std::byte*>(source),
                                        [](const std::byte*) {});
  return {std::move(name), dtype, std::move(shape), std::move(view)};
}

Tensor SliceRows(const Tensor& tensor, std::int64_t begin, std::int64_t rows) {
  Shape shape = tensor.shape;
  shape.at(0) = 1;
  const std::size_t row_bytes = ByteCount(tensor.dtype, shape);
  shape[0] = rows;
  const std::byte* first = tensor.data.get() + row_bytes * static_cast<std::size_t>(begin);
  return {tensor.name, tensor.dtype, std::move(shape), {tensor.data, first}};
}

Tensor ConcatenateRows(const std::vector<Tensor>& parts) {
  const Tensor& first = parts.at(0);
  std::int64_t rows = 0;
  for (const Tensor& part : parts) {
    bool fits = part.dtype == first.dtype && part.shape.size() == first.shape.size() &&
                !part.shape.empty();
    for (std::size_t i = 1; fits && i < part.shape.size(); ++i) {
      fits = part.shape[i] == first.shape[i];
    }
    if (!fits) {
      throw Error("output '" + part.name + "' cannot be joined along axis 0: one slice gave " +
                  Name(first.dtype) + " " + ToString(first.shape) + ", another " +
                  Name(part.dtype) + " " + ToString(part.shape) +
                  "; --rows needs outputs whose first axis is the batch");
    }
    rows += part.shape[0];
  }
  Shape shape = first.shape;
  shape[0] = rows;
  const std::size_t bytes = ByteCount(first.dtype, shape);
  auto memory = Allocate(bytes);
  std::size_t offset = 0;
  for (const Tensor& part : parts) {
    const std::size_t part_bytes = part.bytes();
    if (part_bytes > 0) std::memcpy(memory.get() + offset, part.data.get(), part_bytes);
    offset += part_bytes;
  }
  return {first.name, first.dtype, std::move(shape), std::move(memory)};
}

}  // namespace shipworthy
