// Values that cross the border between the harness and a runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace shipworthy {

// A fault of the model, its inputs or the runtime. The message becomes the one line on stderr.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class Dtype { kFloat32, kFloat64, kInt32, kInt64, kUint8, kBool };

// NumPy's names; also the text for "allowed: ...".
inline constexpr std::string_view kDtypeNames = "float32, float64, int32, int64, uint8, bool";

const char* Name(Dtype dtype);
std::size_t ItemSize(Dtype dtype);

using Shape = std::vector<std::int64_t>;

// "[2, 3]", as NumPy and the runtimes' own messages write it.
std::string ToString(const Shape& shape);

// Number of bytes of a dense tensor. Error on a negative size or on overflow.
std::size_t ByteCount(Dtype dtype, const Shape& shape);

// Dense, row-major, native byte order. The bytes are shared, never changed after they were made.
struct Tensor {
  std::string name;
  Dtype dtype = Dtype::kFloat32;
  Shape shape;
  std::shared_ptr<const std::byte> data;

  std::size_t bytes() const { return ByteCount(dtype, shape); }
};

// What a runtime says of an input or output before it has run. Formats that store no dtype or
// shape leave them empty; a dynamic axis is -1. The dtype is text, because a model may declare one
// that the harness cannot feed.
struct TensorInfo {
  std::string name;
  std::optional<std::string> dtype;
  std::optional<Shape> shape;
};

// Memory at 64 bytes, so that every runtime sees the same alignment run after run.
std::shared_ptr<std::byte> Allocate(std::size_t bytes);

// A tensor with memory of its own, filled from `source` if that is not null.
Tensor MakeTensor(std::string name, Dtype dtype, Shape shape, const void* source);

// A tensor that looks at memory the runtime owns.
Tensor ViewTensor(std::string name, Dtype dtype, Shape shape, const void* source);

// Rows [begin, begin + rows) along axis 0, sharing the memory.
Tensor SliceRows(const Tensor& tensor, std::int64_t begin, std::int64_t rows);

// Joins along axis 0. Error if the parts differ in anything but the first axis.
Tensor ConcatenateRows(const std::vector<Tensor>& parts);

}  // namespace shipworthy
