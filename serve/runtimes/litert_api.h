// The few functions of LiteRT's C API that the runner uses.
//
// The wheel carries no headers; these are facts of litert/c/*.h of google-ai-edge/LiteRT, whose
// functions are documented as ABI-stable. Handles are opaque, enums are ints.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {
struct LiteRtEnvironmentT;
struct LiteRtModelT;
struct LiteRtSignatureT;
struct LiteRtTensorT;
struct LiteRtOptionsT;
struct LiteRtOpaqueOptionsT;
struct LiteRtCompiledModelT;
struct LiteRtTensorBufferT;
struct LiteRtTensorBufferRequirementsT;

using LiteRtStatusCode = int;  // 0 is success

// litert_layout.h: rank and a flag share the first word.
struct LiteRtLayoutFacts {
  unsigned int rank : 7;
  unsigned int has_strides : 1;
  std::int32_t dimensions[8];
  std::uint32_t strides[8];
};
static_assert(sizeof(LiteRtLayoutFacts) == 68);

// litert_model_types.h
struct LiteRtTensorTypeFacts {
  int element_type;
  LiteRtLayoutFacts layout;
};
static_assert(sizeof(LiteRtTensorTypeFacts) == 72);

LiteRtStatusCode LiteRtCreateEnvironment(int, const void* options, LiteRtEnvironmentT**);

LiteRtStatusCode LiteRtCreateModelFromFile(LiteRtEnvironmentT*, const char*, LiteRtModelT**);
void LiteRtDestroyModel(LiteRtModelT*);
LiteRtStatusCode LiteRtGetNumModelSignatures(LiteRtModelT*, std::size_t*);
LiteRtStatusCode LiteRtGetModelSignature(LiteRtModelT*, std::size_t, LiteRtSignatureT**);
LiteRtStatusCode LiteRtGetNumSignatureInputs(LiteRtSignatureT*, std::size_t*);
LiteRtStatusCode LiteRtGetNumSignatureOutputs(LiteRtSignatureT*, std::size_t*);
LiteRtStatusCode LiteRtGetSignatureInputName(LiteRtSignatureT*, std::size_t, const char**);
LiteRtStatusCode LiteRtGetSignatureOutputName(LiteRtSignatureT*, std::size_t, const char**);
LiteRtStatusCode LiteRtGetSignatureInputTensorByIndex(LiteRtSignatureT*, std::size_t,
                                                      LiteRtTensorT**);
LiteRtStatusCode LiteRtGetSignatureOutputTensorByIndex(LiteRtSignatureT*, std::size_t,
                                                       LiteRtTensorT**);
LiteRtStatusCode LiteRtGetTensorTypeId(LiteRtTensorT*, int*);  // 0 ranked, 1 unranked
LiteRtStatusCode LiteRtGetRankedTensorType(LiteRtTensorT*, LiteRtTensorTypeFacts*);

LiteRtStatusCode LiteRtCreateOptions(LiteRtOptionsT**);
void LiteRtDestroyOptions(LiteRtOptionsT*);
LiteRtStatusCode LiteRtSetOptionsHardwareAccelerators(LiteRtOptionsT*, int);
LiteRtStatusCode LiteRtCreateOpaqueOptions(const char* identifier, void* payload,
                                           void (*free_payload)(void*), LiteRtOpaqueOptionsT**);
LiteRtStatusCode LiteRtAddOpaqueOptions(LiteRtOptionsT*, LiteRtOpaqueOptionsT*);

LiteRtStatusCode LiteRtCreateCompiledModel(LiteRtEnvironmentT*, LiteRtModelT*, LiteRtOptionsT*,
                                           LiteRtCompiledModelT**);
void LiteRtDestroyCompiledModel(LiteRtCompiledModelT*);
LiteRtStatusCode LiteRtCompiledModelResizeInputTensor(LiteRtCompiledModelT*, std::size_t signature,
                                                      std::size_t input, const int* dims,
                                                      std::size_t rank);
LiteRtStatusCode LiteRtGetCompiledModelInputTensorLayout(LiteRtCompiledModelT*,
                                                         std::size_t signature, std::size_t input,
                                                         LiteRtLayoutFacts*);
LiteRtStatusCode LiteRtGetCompiledModelOutputTensorLayouts(LiteRtCompiledModelT*,
                                                           std::size_t signature, std::size_t count,
                                                           LiteRtLayoutFacts*, bool update);
LiteRtStatusCode LiteRtGetCompiledModelInputBufferRequirements(LiteRtCompiledModelT*,
                                                               std::size_t signature,
                                                               std::size_t input,
                                                               LiteRtTensorBufferRequirementsT**);
LiteRtStatusCode LiteRtGetCompiledModelOutputBufferRequirements(LiteRtCompiledModelT*,
                                                                std::size_t signature,
                                                                std::size_t output,
                                                                LiteRtTensorBufferRequirementsT**);
LiteRtStatusCode LiteRtRunCompiledModel(LiteRtCompiledModelT*, std::size_t signature,
                                        std::size_t input_count, LiteRtTensorBufferT**,
                                        std::size_t output_count, LiteRtTensorBufferT**);

LiteRtStatusCode LiteRtCreateManagedTensorBufferFromRequirements(LiteRtEnvironmentT*,
                                                                 const LiteRtTensorTypeFacts*,
                                                                 LiteRtTensorBufferRequirementsT*,
                                                                 LiteRtTensorBufferT**);
LiteRtStatusCode LiteRtCreateManagedTensorBuffer(LiteRtEnvironmentT*, int kind,
                                                 const LiteRtTensorTypeFacts*, std::size_t bytes,
                                                 LiteRtTensorBufferT**);
LiteRtStatusCode LiteRtCreateTensorBufferFromHostMemory(const LiteRtTensorTypeFacts*, void*,
                                                        std::size_t bytes, void (*free)(void*),
                                                        LiteRtTensorBufferT**);
LiteRtStatusCode LiteRtGetTensorBufferPackedSize(LiteRtTensorBufferT*, std::size_t*);
LiteRtStatusCode LiteRtLockTensorBuffer(LiteRtTensorBufferT*, void**, int mode);  // 0 read, 1 write
LiteRtStatusCode LiteRtUnlockTensorBuffer(LiteRtTensorBufferT*);
void LiteRtDestroyTensorBuffer(LiteRtTensorBufferT*);
}
