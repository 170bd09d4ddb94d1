// Cases: reading their inputs, checking them against the model, running, writing the outputs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arguments.h"
#include "runtime.h"

namespace shipworthy {

// What the JSON tells of one case.
struct CaseResult {
  std::string name;
  std::int64_t runs = 0;
  std::vector<TensorInfo> outputs;
};

// Reads all inputs of a case from their files.
std::vector<Tensor> ReadInputs(const CaseFiles& files);

// The inputs in the model's order. Error if one is missing or unknown.
std::vector<Tensor> MatchInputs(const std::string& case_name, std::vector<Tensor> given,
                                const std::vector<TensorInfo>& declared);

// The inputs cut along axis 0 into slices of `rows` rows; the whole if `rows` is empty.
std::vector<std::vector<Tensor>> Slice(const std::string& case_name,
                                       const std::vector<Tensor>& inputs,
                                       const std::optional<std::int64_t>& rows);

// Error if an input (of one slice, in the model's order) is of another dtype or shape than the
// model declares.
void CheckInputs(const std::string& case_name, const std::vector<Tensor>& inputs,
                 const std::vector<TensorInfo>& declared);

// Writes the outputs a case asks for. Error if the model has no output of that name.
void WriteOutputs(const CaseFiles& files, const std::vector<Tensor>& outputs);

// The same tensors, in memory of their own.
std::vector<Tensor> Keep(const std::vector<Tensor>& outputs);

// Joins the outputs of the slices, output by output.
std::vector<Tensor> Join(const std::vector<std::vector<Tensor>>& slices);

// Error if an output is asked for that the model does not declare; nothing if it declares none.
void CheckOutputNames(const CaseFiles& files, const std::vector<TensorInfo>& declared);

}  // namespace shipworthy
