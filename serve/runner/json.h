// A JSON writer: objects, arrays, integers, booleans, strings and null. No floating point, so no
// NaN can be printed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shipworthy {

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
