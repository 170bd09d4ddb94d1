// NumPy's array files, versions 1.0 and 2.0.
//
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <string>

#include "tensor.h"

namespace shipworthy {

// Reads a little-endian, C-ordered array of a dtype the harness knows. Everything the header says
// is checked against the file's size before memory is allocated. Error otherwise.
Tensor ReadNpy(const std::string& path, const std::string& name);

// Writes version 1.0 under a temporary name in the same folder, then renames.
void WriteNpy(const std::string& path, const Tensor& tensor);

}  // namespace shipworthy
