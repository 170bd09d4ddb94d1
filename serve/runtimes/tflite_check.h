// Checks the structure of a TFLite file before it is handed to LiteRT, which follows the file's
// offsets unchecked: a truncated file would be a crash, a damaged one sometimes a hang.
#pragma once

#include <string>

namespace shipworthy {

// Error if the file is no TFLite file, ends too soon, or holds an offset, a length or an index that
// points outside. The values of the weights are not looked at.
void CheckTflite(const std::string& path);

}  // namespace shipworthy
