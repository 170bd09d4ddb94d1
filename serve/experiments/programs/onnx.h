/* An ONNX file through ONNX Runtime's C ABI, for programs in C and in what can call C. */
#ifndef SHIPWORTHY_ONNX_H
#define SHIPWORTHY_ONNX_H

#include <stddef.h>
#include <stdint.h>

#define MOST_TENSORS 16
#define MOST_AXES 8

struct tensor {
  const char* name;
  int type; /* ONNXTensorElementDataType */
  size_t rank;
  int64_t shape[MOST_AXES];
  void* data;
  size_t bytes;
};

struct model; /* opaque */

/* Each returns NULL, or what went wrong; the text stays. */
const char* open_model(const char* library, const char* file, struct model** model);

/* Outputs are given their names; type, shape and data are filled in. Their data is the caller's, to
 * be given to free(). */
const char* call_model(struct model* model, const struct tensor* inputs, size_t input_count,
                       struct tensor* outputs, size_t output_count);

#endif
