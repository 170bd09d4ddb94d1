#include "tflite_check.h"

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "files.h"
#include "tensor.h"

namespace shipworthy {
namespace {

// Flatbuffers' encoding: https://flatbuffers.dev/internals/. The fields are those of the schema
// tensorflow/compiler/mlir/lite/schema/schema.fbs; a field that is not listed is a scalar, or one
// that LiteRT need not follow.
enum class Kind { kString, kVector, kTable, kTables };

struct Table;
struct Field {
  unsigned id;
  Kind kind;
  std::size_t item_bytes;  // of a vector
  const Table* table;      // of a table, or of a vector of tables
};
struct Table {
  const char* name;
  std::vector<Field> fields;
};

const Table kAnyTable{"options", {}};
const Table kOperatorCode{"OperatorCode", {{1, Kind::kString, 0, nullptr}}};
const Table kQuantization{"QuantizationParameters",
                          {{0, Kind::kVector, 4, nullptr},
                           {1, Kind::kVector, 4, nullptr},
                           {2, Kind::kVector, 4, nullptr},
                           {3, Kind::kVector, 8, nullptr},
                           {5, Kind::kTable, 0, &kAnyTable}}};
const Table kTensor{"Tensor",
                    {{0, Kind::kVector, 4, nullptr},
                     {3, Kind::kString, 0, nullptr},
                     {4, Kind::kTable, 0, &kQuantization},
                     {6, Kind::kTable, 0, &kAnyTable},
                     {7, Kind::kVector, 4, nullptr}}};
const Table kOperator{"Operator",
                      {{1, Kind::kVector, 4, nullptr},
                       {2, Kind::kVector, 4, nullptr},
                       {4, Kind::kTable, 0, &kAnyTable},
                       {5, Kind::kVector, 1, nullptr},
                       {7, Kind::kVector, 1, nullptr},
                       {8, Kind::kVector, 4, nullptr},
                       {12, Kind::kTable, 0, &kAnyTable}}};
const Table kSubGraph{"SubGraph",
                      {{0, Kind::kTables, 4, &kTensor},
                       {1, Kind::kVector, 4, nullptr},
                       {2, Kind::kVector, 4, nullptr},
                       {3, Kind::kTables, 4, &kOperator},
                       {4, Kind::kString, 0, nullptr}}};
const Table kBuffer{"Buffer", {{0, Kind::kVector, 1, nullptr}}};
const Table kMetadata{"Metadata", {{0, Kind::kString, 0, nullptr}}};
const Table kTensorMap{"TensorMap", {{0, Kind::kString, 0, nullptr}}};
const Table kSignature{"SignatureDef",
                       {{0, Kind::kTables, 4, &kTensorMap},
                        {1, Kind::kTables, 4, &kTensorMap},
                        {2, Kind::kString, 0, nullptr}}};
const Table kModel{"Model",
                   {{1, Kind::kTables, 4, &kOperatorCode},
                    {2, Kind::kTables, 4, &kSubGraph},
                    {3, Kind::kString, 0, nullptr},
                    {4, Kind::kTables, 4, &kBuffer},
                    {5, Kind::kVector, 4, nullptr},
                    {6, Kind::kTables, 4, &kMetadata},
                    {7, Kind::kTables, 4, &kSignature}}};

class Checker {
 public:
  explicit Checker(std::span<const std::byte> bytes)
      : bytes_(bytes), tables_left_(bytes.size() / 4) {}

  void Check() {
    const std::size_t model = Follow(0, "Model");
    CheckTable(model, kModel);
    for (const std::size_t graph : Items(model, 2)) CheckGraph(model, graph);
    for (const std::size_t signature : Items(model, 7)) CheckSignature(model, signature);
    for (const std::size_t buffer : Items(model, 4)) CheckBuffer(buffer);
  }

 private:
  [[noreturn]] static void Damaged(const char* what) {
    throw Error(std::string("it is cut short or damaged (see its ") + what + ")");
  }

  template <typename Number>
  Number Read(std::size_t position, const char* what) const {
    if (position > bytes_.size() || bytes_.size() - position < sizeof(Number)) Damaged(what);
    Number number;
    std::memcpy(&number, bytes_.data() + position, sizeof number);
    return number;
  }

  std::size_t Follow(std::size_t position, const char* what) const {
    const std::size_t target = position + Read<std::uint32_t>(position, what);
    if (target >= bytes_.size()) Damaged(what);
    return target;
  }

  // Position of a table's field, 0 if it is not there.
  std::size_t Find(std::size_t table, unsigned id, const char* what) const {
    const auto back = Read<std::int32_t>(table, what);
    const auto vtable = static_cast<std::int64_t>(table) - back;
    if (vtable < 0) Damaged(what);
    const auto start = static_cast<std::size_t>(vtable);
    const auto vtable_bytes = Read<std::uint16_t>(start, what);
    const auto table_bytes = Read<std::uint16_t>(start + 2, what);
    if (vtable_bytes < 4 || vtable_bytes % 2 != 0 || start + vtable_bytes > bytes_.size() ||
        table + table_bytes > bytes_.size()) {
      Damaged(what);
    }
    const std::size_t entry = 4 + 2 * static_cast<std::size_t>(id);
    if (entry + 2 > vtable_bytes) return 0;
    const auto offset = Read<std::uint16_t>(start + entry, what);
    if (offset != 0 && (offset < 4 || offset >= table_bytes)) Damaged(what);
    return offset == 0 ? 0 : table + offset;
  }

  // Checks a vector and returns its length; its items begin 4 bytes after `vector`.
  std::size_t Length(std::size_t vector, std::size_t item_bytes, const char* what) const {
    const std::size_t length = Read<std::uint32_t>(vector, what);
    if (length > (bytes_.size() - vector - 4) / item_bytes) Damaged(what);
    return length;
  }

  void CheckTable(std::size_t table, const Table& spec) {
    if (tables_left_-- == 0) Damaged(spec.name);  // tables that overlap have no end
    Find(table, 0, spec.name);
    for (const Field& field : spec.fields) {
      const std::size_t position = Find(table, field.id, spec.name);
      if (position == 0) continue;
      const std::size_t target = Follow(position, spec.name);
      switch (field.kind) {
        case Kind::kTable: CheckTable(target, *field.table); break;
        case Kind::kVector: Length(target, field.item_bytes, spec.name); break;
        case Kind::kString: {
          const std::size_t end = target + 4 + Length(target, 1, spec.name);
          if (Read<char>(end, spec.name) != '\0') Damaged(spec.name);
          break;
        }
        case Kind::kTables:
          for (std::size_t i = 0; i < Length(target, 4, spec.name); ++i) {
            CheckTable(Follow(target + 4 + 4 * i, spec.name), *field.table);
          }
      }
    }
  }

  // Positions of the tables in a vector, which CheckTable has seen.
  std::vector<std::size_t> Items(std::size_t table, unsigned id) const {
    std::vector<std::size_t> items;
    const std::size_t position = Find(table, id, "vector");
    if (position == 0) return items;
    const std::size_t vector = Follow(position, "vector");
    for (std::size_t i = 0; i < Length(vector, 4, "vector"); ++i) {
      items.push_back(Follow(vector + 4 + 4 * i, "vector"));
    }
    return items;
  }

  template <typename Number>
  Number Scalar(std::size_t table, unsigned id) const {
    const std::size_t position = Find(table, id, "scalar");
    return position == 0 ? 0 : Read<Number>(position, "scalar");
  }

  std::vector<std::int32_t> Integers(std::size_t table, unsigned id) const {
    std::vector<std::int32_t> numbers;
    const std::size_t position = Find(table, id, "vector");
    if (position == 0) return numbers;
    const std::size_t vector = Follow(position, "vector");
    for (std::size_t i = 0; i < Length(vector, 4, "vector"); ++i) {
      numbers.push_back(Read<std::int32_t>(vector + 4 + 4 * i, "vector"));
    }
    return numbers;
  }

  static void CheckIndex(std::int64_t index, std::size_t count, const char* what) {
    if (index < 0 || static_cast<std::uint64_t>(index) >= count) {
      throw Error(std::string("it is damaged: ") + what + " " + std::to_string(index) +
                  " is asked for, there are " + std::to_string(count));
    }
  }

  void CheckGraph(std::size_t model, std::size_t graph) const {
    const std::size_t buffers = Items(model, 4).size();
    const std::size_t codes = Items(model, 1).size();
    const std::vector<std::size_t> tensors = Items(graph, 0);
    for (const std::size_t tensor : tensors) {
      CheckIndex(Scalar<std::uint32_t>(tensor, 2), buffers, "buffer");
      for (const std::int32_t size : Integers(tensor, 0)) {
        if (size < 0) throw Error("it is damaged: a tensor has the size " + std::to_string(size));
      }
    }
    for (const unsigned field : {1U, 2U}) {
      for (const std::int32_t index : Integers(graph, field)) {
        CheckIndex(index, tensors.size(), "tensor");
      }
    }
    for (const std::size_t op : Items(graph, 3)) {
      CheckIndex(Scalar<std::uint32_t>(op, 0), codes, "operator code");
      for (const unsigned field : {1U, 2U, 8U}) {
        for (const std::int32_t index : Integers(op, field)) {
          if (index != -1) CheckIndex(index, tensors.size(), "tensor");  // -1: left out
        }
      }
    }
  }

  void CheckSignature(std::size_t model, std::size_t signature) const {
    const std::vector<std::size_t> graphs = Items(model, 2);
    const auto graph = Scalar<std::uint32_t>(signature, 4);
    CheckIndex(graph, graphs.size(), "subgraph");
    const std::size_t tensors = Items(graphs[graph], 0).size();
    for (const unsigned field : {0U, 1U}) {
      for (const std::size_t entry : Items(signature, field)) {
        CheckIndex(Scalar<std::uint32_t>(entry, 1), tensors, "tensor");
      }
    }
  }

  // Data beyond the flatbuffer's 2 GiB lies behind it, at an offset of the file.
  void CheckBuffer(std::size_t buffer) const {
    const auto offset = Scalar<std::uint64_t>(buffer, 1);
    const auto size = Scalar<std::uint64_t>(buffer, 2);
    if (offset > 1 && (offset > bytes_.size() || size > bytes_.size() - offset)) Damaged("Buffer");
  }

  const std::span<const std::byte> bytes_;
  std::size_t tables_left_;
};

}  // namespace

void CheckTflite(const std::string& path) {
  try {
    File file(path);
    const auto memory = file.Map();
    const std::span<const std::byte> bytes(memory.get(), file.remaining());
    // Bytes 4 to 7 of a flatbuffer name its schema.
    if (bytes.size() < 8 || std::memcmp(bytes.data() + 4, "TFL3", 4) != 0) {
      throw Error("it is no TFLite file (no TFL3 at byte 4)");
    }
    Checker(bytes).Check();
  } catch (const Error& e) {
    throw Error("cannot load " + path + ": " + e.what());
  }
}

}  // namespace shipworthy
