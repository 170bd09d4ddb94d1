/* Runs an ONNX file on the cases of a job file: run LIBRARY MODEL JOB
 *
 * Lines of a job, tab-separated: `input NAME TYPE SHAPE FILE`, `output NAME FILE`, `run`; shapes are
 * comma-separated, data is raw and little-endian. For every output of every run one line is printed:
 * TYPE SHAPE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx.h"

static void fail(const char* what) {
  fprintf(stderr, "error: %s\n", what);
  exit(1);
}

static char* field(char** rest) {
  char* text = strsep(rest, "\t");
  if (text == NULL) fail("a line of the job is too short");
  return strdup(text);
}

static void read_input(char* rest, struct tensor* input) {
  input->name = field(&rest);
  input->type = atoi(field(&rest));
  char* shape = field(&rest);
  for (char* size; (size = strsep(&shape, ",")) != NULL && *size != '\0';) {
    if (input->rank == MOST_AXES) fail("an input has too many axes");
    input->shape[input->rank++] = atoll(size);
  }
  FILE* stream = fopen(field(&rest), "rb");
  if (stream == NULL) fail("an input's file cannot be opened");
  fseek(stream, 0, SEEK_END);
  input->bytes = (size_t)ftell(stream);
  rewind(stream);
  input->data = malloc(input->bytes ? input->bytes : 1);
  if (input->data == NULL || fread(input->data, 1, input->bytes, stream) != input->bytes)
    fail("an input cannot be read");
  fclose(stream);
}

static void write_output(const struct tensor* output, const char* path) {
  FILE* stream = fopen(path, "wb");
  if (stream == NULL || fwrite(output->data, 1, output->bytes, stream) != output->bytes)
    fail("an output cannot be written");
  fclose(stream);
  printf("%d\t", output->type);
  for (size_t axis = 0; axis < output->rank; ++axis)
    printf("%s%lld", axis ? "," : "", (long long)output->shape[axis]);
  printf("\n");
}

int main(int argc, char** argv) {
  if (argc != 4) fail("usage: run LIBRARY MODEL JOB");
  struct model* model = NULL;
  const char* wrong = open_model(argv[1], argv[2], &model);
  if (wrong) fail(wrong);
  FILE* job = fopen(argv[3], "r");
  if (job == NULL) fail("the job cannot be opened");
  struct tensor inputs[MOST_TENSORS] = {{0}}, outputs[MOST_TENSORS] = {{0}};
  const char* paths[MOST_TENSORS];
  size_t input_count = 0, output_count = 0;
  char line[8192];
  while (fgets(line, sizeof line, job) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    char* rest = line;
    const char* verb = field(&rest);
    if (strcmp(verb, "input") == 0) {
      if (input_count == MOST_TENSORS) fail("too many inputs");
      read_input(rest, &inputs[input_count++]);
    } else if (strcmp(verb, "output") == 0) {
      if (output_count == MOST_TENSORS) fail("too many outputs");
      outputs[output_count].name = field(&rest);
      paths[output_count++] = field(&rest);
    } else {
      wrong = call_model(model, inputs, input_count, outputs, output_count);
      if (wrong) fail(wrong);
      for (size_t i = 0; i < output_count; ++i) write_output(&outputs[i], paths[i]);
      for (size_t i = 0; i < input_count; ++i) free(inputs[i].data);
      for (size_t i = 0; i < output_count; ++i) free(outputs[i].data);
      memset(inputs, 0, sizeof inputs);
      memset(outputs, 0, sizeof outputs);
      input_count = output_count = 0;
    }
  }
  fclose(job);
  return 0;
}
