// A JSON writer: objects, arrays, integers, booleans, strings and null. No floating point, so no
// NaN can be printed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shipworthy {

// Length of the UTF-8 sequence at the start of `text`, 0 if it is none (RFC 3629, section 4).
std::size_t Utf8Length(std::string_view text);

class Json {
 public:
  Json& Open(char bracket);  // '{' or '['
  Json& Close(char bracket);
  Json& Key(std::string_view name);
  Json& Int(std::int64_t value);
  Json& Int(const std::optional<std::int64_t>& value);  // null where empty
  Json& Bool(bool value);
  Json& Text(std::string_view value);  // bytes that are not UTF-8 become U+FFFD
  Json& Null();

  const std::string& text() const { return text_; }

 private:
  void Comma();
  void Quote(std::string_view value);

  std::string text_;
  bool comma_ = false;
};

}  // namespace shipworthy
