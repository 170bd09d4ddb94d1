// The little of Protocol Buffers' wire format that the TensorFlow runner needs.
//
// Format: https://protobuf.dev/programming-guides/encoding/
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tensor.h"

namespace shipworthy {

// Walks the fields of one message.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : bytes_(bytes) {}

  // Moves to the next field; false at the end.
  bool Next() {
    if (bytes_.empty()) return false;
    const std::uint64_t tag = TakeVarint();
    field_ = static_cast<int>(tag >> 3);
    value_ = {};
    number_ = 0;
    switch (tag & 7) {
      case 0: number_ = TakeVarint(); break;
      case 1: Take(8); break;
      case 2: value_ = Take(TakeVarint()); break;
      case 5: Take(4); break;
      default: throw Error("a protobuf message is damaged");
    }
    return true;
  }

  int field() const { return field_; }
  std::uint64_t number() const { return number_; }        // of a varint field
  std::string_view value() const { return value_; }       // of a string or message field
  std::string text() const { return std::string(value_); }

 private:
  std::string_view Take(std::uint64_t size) {
    if (size > bytes_.size()) throw Error("a protobuf message is cut short");
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }

  std::uint64_t TakeVarint() {
    std::uint64_t number = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(Take(1)[0]);
      number |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
      if (byte < 0x80) return number;
    }
    throw Error("a protobuf message is damaged");
  }

  std::string_view bytes_;
  int field_ = 0;
  std::uint64_t number_ = 0;
  std::string_view value_;
};

// Appends a varint field. Negative numbers take ten bytes, as int32 and int64 fields want it.
inline void AddVarint(std::string& bytes, int field, std::int64_t value) {
  for (auto rest : {static_cast<std::uint64_t>(field) << 3, static_cast<std::uint64_t>(value)}) {
    while (rest >= 0x80) {
      bytes += static_cast<char>((rest & 0x7f) | 0x80);
      rest >>= 7;
    }
    bytes += static_cast<char>(rest);
  }
}

}  // namespace shipworthy
