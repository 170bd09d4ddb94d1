/* ONNX Runtime's API is a table of functions, whose slots are facts of OrtApi in
 * onnxruntime_c_api.h of microsoft/onnxruntime, which only ever grows at its end. */
#include "onnx.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void* handle;
typedef handle status; /* NULL is success */

struct api_base {
  void* const* (*get_api)(uint32_t version);
  const char* (*get_version)(void);
};

struct model {
  void* const* api;
  handle environment, options, session, memory;
};

enum slot {
  MESSAGE = 2,
  CREATE_ENVIRONMENT = 3,
  CREATE_SESSION = 7,
  RUN = 9,
  CREATE_OPTIONS = 10,
  SET_OPTIMISATION = 23,
  SET_THREADS = 24,
  WRAP_TENSOR = 49,
  TENSOR_DATA = 51,
  ELEMENT_TYPE = 60,
  RANK = 61,
  DIMENSIONS = 62,
  VALUE_INFO = 65,
  CPU_MEMORY = 69,
  RELEASE_STATUS = 93,
  RELEASE_VALUE = 96,
  RELEASE_INFO = 99
};

#define VERSION 7
#define ALL_OPTIMISATIONS 99
#define ERRORS_ONLY 3

/* Calls a function of the table that returns a status. */
#define CALL(model, slot, types, ...) \
  told((model), ((status(*) types)(model)->api[slot])(__VA_ARGS__))

static char message[512];

static const char* told(const struct model* model, status failed) {
  if (failed == NULL) return NULL;
  const char* text = ((const char* (*)(status))model->api[MESSAGE])(failed);
  snprintf(message, sizeof message, "ONNX Runtime: %s", text);
  ((void (*)(status))model->api[RELEASE_STATUS])(failed);
  return message;
}

static const char* load_api(const char* library, struct model* model) {
  void* loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (loaded == NULL) return dlerror();
  const struct api_base* (*base)(void) =
      (const struct api_base* (*)(void))dlsym(loaded, "OrtGetApiBase");
  if (base == NULL) return dlerror();
  model->api = base()->get_api(VERSION);
  return model->api == NULL ? "ONNX Runtime does not answer this version of its API" : NULL;
}

const char* open_model(const char* library, const char* file, struct model** made) {
  struct model* model = calloc(1, sizeof *model);
  if (model == NULL) return "out of memory";
  *made = model;
  const char* wrong = load_api(library, model);
  if (!wrong)
    wrong = CALL(model, CREATE_ENVIRONMENT, (int, const char*, handle*), ERRORS_ONLY, "program",
                 &model->environment);
  if (!wrong) wrong = CALL(model, CREATE_OPTIONS, (handle*), &model->options);
  if (!wrong)
    wrong = CALL(model, SET_OPTIMISATION, (handle, int), model->options, ALL_OPTIMISATIONS);
  if (!wrong) wrong = CALL(model, SET_THREADS, (handle, int), model->options, 1);
  if (!wrong)
    wrong = CALL(model, CREATE_SESSION, (handle, const char*, handle, handle*), model->environment,
                 file, model->options, &model->session);
  if (!wrong) wrong = CALL(model, CPU_MEMORY, (int, int, handle*), 1, 0, &model->memory);
  return wrong;
}

static size_t element_bytes(int type) {
  switch (type) {
    case 1: case 6: return 4;   /* float32, int32 */
    case 7: case 11: return 8;  /* int64, float64 */
    case 2: case 9: return 1;   /* uint8, bool */
    default: return 0;
  }
}

static const char* read_output(const struct model* model, handle value, struct tensor* output) {
  handle info = NULL;
  void* data = NULL;
  const char* wrong = CALL(model, VALUE_INFO, (handle, handle*), value, &info);
  if (!wrong) wrong = CALL(model, ELEMENT_TYPE, (handle, int*), info, &output->type);
  if (!wrong) wrong = CALL(model, RANK, (handle, size_t*), info, &output->rank);
  if (!wrong && output->rank > MOST_AXES) wrong = "an output has too many axes";
  if (!wrong)
    wrong = CALL(model, DIMENSIONS, (handle, int64_t*, size_t), info, output->shape, output->rank);
  if (!wrong) wrong = CALL(model, TENSOR_DATA, (handle, void**), value, &data);
  if (info != NULL) ((void (*)(handle))model->api[RELEASE_INFO])(info);
  if (wrong) return wrong;
  output->bytes = element_bytes(output->type);
  if (output->bytes == 0) return "an output has an element type that this program does not know";
  for (size_t axis = 0; axis < output->rank; ++axis) output->bytes *= (size_t)output->shape[axis];
  output->data = malloc(output->bytes ? output->bytes : 1);
  if (output->data == NULL) return "out of memory";
  memcpy(output->data, data, output->bytes);
  return NULL;
}

const char* call_model(struct model* model, const struct tensor* inputs, size_t input_count,
                       struct tensor* outputs, size_t output_count) {
  const char *input_names[MOST_TENSORS] = {NULL}, *output_names[MOST_TENSORS] = {NULL};
  const char* wrong = NULL;
  handle values[MOST_TENSORS] = {NULL}, answers[MOST_TENSORS] = {NULL};
  if (input_count > MOST_TENSORS || output_count > MOST_TENSORS) return "too many tensors";
  for (size_t i = 0; i < input_count && !wrong; ++i) {
    input_names[i] = inputs[i].name;
    wrong = CALL(model, WRAP_TENSOR,
                 (handle, void*, size_t, const int64_t*, size_t, int, handle*), model->memory,
                 inputs[i].data, inputs[i].bytes, inputs[i].shape, inputs[i].rank, inputs[i].type,
                 &values[i]);
  }
  for (size_t i = 0; i < output_count; ++i) output_names[i] = outputs[i].name;
  if (!wrong)
    wrong = CALL(model, RUN,
                 (handle, handle, const char* const*, const handle*, size_t, const char* const*,
                  size_t, handle*),
                 model->session, NULL, input_names, values, input_count, output_names,
                 output_count, answers);
  for (size_t i = 0; i < output_count && !wrong; ++i)
    wrong = read_output(model, answers[i], &outputs[i]);
  for (size_t i = 0; i < MOST_TENSORS; ++i) {
    if (values[i] != NULL) ((void (*)(handle))model->api[RELEASE_VALUE])(values[i]);
    if (answers[i] != NULL) ((void (*)(handle))model->api[RELEASE_VALUE])(answers[i]);
  }
  return wrong;
}
