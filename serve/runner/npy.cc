#include "npy.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "files.h"

namespace shipworthy {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::size_t kMostHeaderBytes = 65536;  // a shape of the 64 axes NumPy allows needs < 2000

struct Descr {
  std::string_view text;
  Dtype dtype;
};
constexpr std::array<Descr, 6> kDescrs = {{{"<f4", Dtype::kFloat32},
                                           {"<f8", Dtype::kFloat64},
                                           {"<i4", Dtype::kInt32},
                                           {"<i8", Dtype::kInt64},
                                           {"|u1", Dtype::kUint8},
                                           {"|b1", Dtype::kBool}}};

struct Header {
  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<Shape> shape;
};

// Reads the header's Python literal: a dict with exactly the keys descr, fortran_order and shape.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  Header Parse() {
    Header header;
    Expect('{');
    while (!Accept('}')) {
      const std::string key = String();
      Expect(':');
      if (key == "descr" && !header.descr) {
        // A structured dtype is a list here, which is refused as a missing string.
        header.descr = String();
      } else if (key == "fortran_order" && !header.fortran_order) {
        header.fortran_order = Boolean();
      } else if (key == "shape" && !header.shape) {
        header.shape = Tuple();
      } else {
        throw Error("unexpected key '" + key + "'");
      }
      if (!Accept(',')) {
        Expect('}');
        break;
      }
    }
    SkipSpace();
    if (position_ != text_.size()) throw Error("text after the dict");
    if (!header.descr || !header.fortran_order || !header.shape) {
      throw Error("it lacks one of the keys descr, fortran_order, shape");
    }
    return header;
  }

 private:
  void SkipSpace() {
    while (position_ < text_.size() && std::strchr(" \t\r\n", text_[position_]) != nullptr &&
           text_[position_] != '\0') {
      ++position_;
    }
  }

  bool Accept(char wanted) {
    SkipSpace();
    if (position_ >= text_.size() || text_[position_] != wanted) return false;
    ++position_;
    return true;
  }

  void Expect(char wanted) {
    if (!Accept(wanted)) {
      throw Error(std::string("no '") + wanted + "' at byte " + std::to_string(position_));
    }
  }

  std::string String() {
    SkipSpace();
    const char quote = position_ < text_.size() ? text_[position_] : '\0';
    if (quote != '\'' && quote != '"') {
      throw Error("no string at byte " + std::to_string(position_));
    }
    const std::size_t end = text_.find(quote, position_ + 1);
    if (end == std::string_view::npos) throw Error("a string without an end");
    std::string found(text_.substr(position_ + 1, end - position_ - 1));
    position_ = end + 1;
    return found;
  }

  bool Boolean() {
    SkipSpace();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(position_, word.size()) == word) {
        position_ += word.size();
        return word == "True";
      }
    }
    throw Error("fortran_order is neither True nor False");
  }

  Shape Tuple() {
    Shape shape;
    Expect('(');
    while (!Accept(')')) {
      SkipSpace();
      std::int64_t size = 0;
      const char* begin = text_.data() + position_;
      const auto [end, fault] = std::from_chars(begin, text_.data() + text_.size(), size);
      if (fault != std::errc() || size < 0) throw Error("the shape holds something but sizes");
      position_ += static_cast<std::size_t>(end - begin);
      shape.push_back(size);
      if (!Accept(',')) {
        Expect(')');
        break;
      }
    }
    return shape;
  }

  std::string_view text_;
  std::size_t position_ = 0;
};

// Returns the header's text, with the file left at the first byte of the data.
std::string ReadHeaderText(File& file) {
  std::array<unsigned char, 8> lead{};
  file.Read(lead.data(), lead.size(), "the magic string");
  if (std::memcmp(lead.data(), kMagic.data(), kMagic.size()) != 0) {
    throw Error("it does not begin as a .npy file does");
  }
  const int major = lead[6];
  const int minor = lead[7];
  if ((major != 1 && major != 2) || minor != 0) {
    throw Error("its format version is " + std::to_string(major) + "." + std::to_string(minor) +
                "; allowed: 1.0, 2.0");
  }
  std::array<unsigned char, 4> length{};
  file.Read(length.data(), major == 1 ? 2 : 4, "the header's length");
  std::size_t bytes = 0;
  for (std::size_t i = length.size(); i-- > 0;) bytes = bytes * 256 + length[i];
  if (bytes > kMostHeaderBytes || bytes > file.remaining()) {
    throw Error("its header claims " + std::to_string(bytes) + " bytes, the file has " +
                std::to_string(file.remaining()) + " left; at most " +
                std::to_string(kMostHeaderBytes) + " are allowed");
  }
  std::string text(bytes, '\0');
  file.Read(text.data(), bytes, "the header");
  return text;
}

Dtype FindDtype(const std::string& descr) {
  for (const Descr& known : kDescrs) {
    if (known.text == descr) return known.dtype;
  }
  const bool big_endian = !descr.empty() && descr[0] == '>';
  throw Error("its dtype is '" + descr + "'" + (big_endian ? " (big endian)" : "") +
              "; allowed: <f4, <f8, <i4, <i8, |u1, |b1");
}

void CheckBooleans(const std::byte* data, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    if (data[i] > std::byte{1}) {
      throw Error("byte " + std::to_string(i) + " of its booleans is " +
                  std::to_string(std::to_integer<int>(data[i])) + "; allowed: 0, 1");
    }
  }
}

Tensor ReadTensor(File& file, const std::string& name) {
  const std::string text = ReadHeaderText(file);
  Header header;
  try {
    header = HeaderParser(text).Parse();
  } catch (const Error& e) {
    throw Error(std::string("its header is not understood: ") + e.what());
  }
  const Dtype dtype = FindDtype(*header.descr);
  if (*header.fortran_order) {
    throw Error("it is in Fortran order; write it with numpy.ascontiguousarray first");
  }
  const std::size_t bytes = ByteCount(dtype, *header.shape);
  if (bytes != file.remaining()) {
    throw Error("its header says " + std::string(Name(dtype)) + " " + ToString(*header.shape) +
                ", which is " + std::to_string(bytes) + " bytes of data; the file has " +
                std::to_string(file.remaining()));
  }
  auto memory = Allocate(bytes);
  file.Read(memory.get(), bytes, "the data");
  if (dtype == Dtype::kBool) CheckBooleans(memory.get(), bytes);
  return {name, dtype, std::move(*header.shape), std::move(memory)};
}

std::string MakeHeader(const Tensor& tensor) {
  std::string_view descr;
  for (const Descr& known : kDescrs) {
    if (known.dtype == tensor.dtype) descr = known.text;
  }
  std::string dict = "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    dict += (i == 0 ? "" : ", ") + std::to_string(tensor.shape[i]);
  }
  dict += tensor.shape.size() == 1 ? ",), }" : "), }";  // Python's tuple of one
  constexpr std::size_t kLeadBytes = 10;
  while ((kLeadBytes + dict.size() + 1) % 64 != 0) dict += ' ';
  dict += '\n';
  std::string header(kMagic);
  header += {'\x01', '\x00'};
  header += static_cast<char>(dict.size() & 0xff);
  header += static_cast<char>(dict.size() >> 8);
  return header + dict;
}

}  // namespace

Tensor ReadNpy(const std::string& path, const std::string& name) {
  File file(path);
  try {
    return ReadTensor(file, name);
  } catch (const Error& e) {
    throw Error("cannot read " + path + ": " + e.what());
  }
}

void WriteNpy(const std::string& path, const Tensor& tensor) {
  const std::string header = MakeHeader(tensor);
  WriteByRename(path, {{header.data(), header.size()}, {tensor.data.get(), tensor.bytes()}});
}

}  // namespace shipworthy
