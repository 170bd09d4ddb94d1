#include "json.h"

#include <cstdio>

namespace shipworthy {

std::size_t Utf8Length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const unsigned first = byte(0);
  const unsigned second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && second < 0xa0;
    const bool surrogate = first == 0xed && second >= 0xa0;
    return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool overlong = first == 0xf0 && second < 0x90;
    const bool beyond = first == 0xf4 && second >= 0x90;
    return tail(1) && tail(2) && tail(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

void Json::Comma() {
  if (comma_) text_ += ',';
  comma_ = true;
}

Json& Json::Open(char bracket) {
  Comma();
  text_ += bracket;
  comma_ = false;
  return *this;
}

Json& Json::Close(char bracket) {
  text_ += bracket;
  comma_ = true;
  return *this;
}

Json& Json::Key(std::string_view name) {
  Comma();
  Quote(name);
  text_ += ':';
  comma_ = false;
  return *this;
}

Json& Json::Int(std::int64_t value) {
  Comma();
  text_ += std::to_string(value);
  return *this;
}

Json& Json::Int(const std::optional<std::int64_t>& value) {
  return value ? Int(*value) : Null();
}

Json& Json::Bool(bool value) {
  Comma();
  text_ += value ? "true" : "false";
  return *this;
}

Json& Json::Text(std::string_view value) {
  Comma();
  Quote(value);
  return *this;
}

Json& Json::Null() {
  Comma();
  text_ += "null";
  return *this;
}

void Json::Quote(std::string_view value) {
  text_ += '"';
  while (!value.empty()) {
    const std::size_t length = Utf8Length(value);
    const unsigned char first = static_cast<unsigned char>(value[0]);
    if (length == 0) {
      text_ += "\\ufffd";
    } else if (first == '"' || first == '\\') {
      text_ += '\\';
      text_ += value[0];
    } else if (first < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(first));
      text_ += escape;
    } else {
      text_ += value.substr(0, length);
    }
    value.remove_prefix(length == 0 ? 1 : length);
  }
  text_ += '"';
}

}  // namespace shipworthy
