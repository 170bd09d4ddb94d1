/* What Run.java calls: its arguments handed on to onnx.c, whose errors become exceptions. */
#include <jni.h>
#include <stdlib.h>
#include <string.h>

#include "onnx.h"

static void throw(JNIEnv* env, const char* what) {
  jclass type = (*env)->FindClass(env, "java/lang/IllegalStateException");
  (*env)->ThrowNew(env, type, what);
}

JNIEXPORT jlong JNICALL Java_Run_open(JNIEnv* env, jclass self, jstring library, jstring file) {
  (void)self;
  const char* names[] = {(*env)->GetStringUTFChars(env, library, NULL),
                         (*env)->GetStringUTFChars(env, file, NULL)};
  struct model* model = NULL;
  const char* wrong = open_model(names[0], names[1], &model);
  (*env)->ReleaseStringUTFChars(env, library, names[0]);
  (*env)->ReleaseStringUTFChars(env, file, names[1]);
  if (wrong) throw(env, wrong);
  return (jlong)(intptr_t)model;
}

static char* copy_name(JNIEnv* env, jobjectArray names, jsize index) {
  jstring name = (*env)->GetObjectArrayElement(env, names, index);
  const char* text = (*env)->GetStringUTFChars(env, name, NULL);
  char* copy = strdup(text);
  (*env)->ReleaseStringUTFChars(env, name, text);
  return copy;
}

static void read_input(JNIEnv* env, jlongArray shape, jbyteArray data, struct tensor* input) {
  input->rank = (size_t)(*env)->GetArrayLength(env, shape);
  if (input->rank > MOST_AXES) return throw(env, "an input has too many axes");
  (*env)->GetLongArrayRegion(env, shape, 0, (jsize)input->rank, (jlong*)input->shape);
  input->bytes = (size_t)(*env)->GetArrayLength(env, data);
  input->data = malloc(input->bytes ? input->bytes : 1);
  if (input->data == NULL) return throw(env, "out of memory");
  (*env)->GetByteArrayRegion(env, data, 0, (jsize)input->bytes, input->data);
}

static jobjectArray give(JNIEnv* env, const struct tensor* outputs, jsize count, jintArray types,
                         jobjectArray shapes) {
  jobjectArray all = (*env)->NewObjectArray(env, count, (*env)->FindClass(env, "[B"), NULL);
  for (jsize i = 0; i < count; ++i) {
    jbyteArray data = (*env)->NewByteArray(env, (jsize)outputs[i].bytes);
    (*env)->SetByteArrayRegion(env, data, 0, (jsize)outputs[i].bytes, outputs[i].data);
    (*env)->SetObjectArrayElement(env, all, i, data);
    jlongArray shape = (*env)->NewLongArray(env, (jsize)outputs[i].rank);
    (*env)->SetLongArrayRegion(env, shape, 0, (jsize)outputs[i].rank,
                               (const jlong*)outputs[i].shape);
    (*env)->SetObjectArrayElement(env, shapes, i, shape);
    jint type = outputs[i].type;
    (*env)->SetIntArrayRegion(env, types, i, 1, &type);
  }
  return all;
}

JNIEXPORT jobjectArray JNICALL Java_Run_call(JNIEnv* env, jclass self, jlong model,
                                             jobjectArray names, jintArray types,
                                             jobjectArray shapes, jobjectArray data,
                                             jobjectArray output_names, jintArray output_types,
                                             jobjectArray output_shapes) {
  (void)self;
  struct tensor inputs[MOST_TENSORS] = {{0}}, outputs[MOST_TENSORS] = {{0}};
  const jsize input_count = (*env)->GetArrayLength(env, names);
  const jsize output_count = (*env)->GetArrayLength(env, output_names);
  if (input_count > MOST_TENSORS || output_count > MOST_TENSORS) {
    throw(env, "too many tensors");
    return NULL;
  }
  for (jsize i = 0; i < input_count && !(*env)->ExceptionCheck(env); ++i) {
    inputs[i].name = copy_name(env, names, i);
    jint type = 0;
    (*env)->GetIntArrayRegion(env, types, i, 1, &type);
    inputs[i].type = type;
    read_input(env, (*env)->GetObjectArrayElement(env, shapes, i),
               (*env)->GetObjectArrayElement(env, data, i), &inputs[i]);
  }
  for (jsize i = 0; i < output_count; ++i) outputs[i].name = copy_name(env, output_names, i);
  jobjectArray all = NULL;
  if (!(*env)->ExceptionCheck(env)) {
    const char* wrong = call_model((struct model*)(intptr_t)model, inputs, (size_t)input_count,
                                   outputs, (size_t)output_count);
    if (wrong) {
      throw(env, wrong);
    } else {
      all = give(env, outputs, output_count, output_types, output_shapes);
    }
  }
  for (size_t i = 0; i < MOST_TENSORS; ++i) {
    free((void*)inputs[i].name);
    free(inputs[i].data);
    free((void*)outputs[i].name);
    free(outputs[i].data);
  }
  return all;
}
