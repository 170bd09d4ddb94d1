// Runs an ONNX file on the cases of a job file: node run.cjs PACKAGE MODEL JOB
//
// The job is that of run.c; PACKAGE is the folder of onnxruntime-node, Microsoft's package for Node.
"use strict";
const fs = require("node:fs");

const KINDS = {
  1: ["float32", Float32Array],
  2: ["uint8", Uint8Array],
  6: ["int32", Int32Array],
  7: ["int64", BigInt64Array],
  9: ["bool", Uint8Array],
  11: ["float64", Float64Array],
};

function readTensor(ort, kind, shape, path) {
  const [name, View] = KINDS[kind];
  const bytes = fs.readFileSync(path);
  const data = new View(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  return new ort.Tensor(name, data, shape === "" ? [] : shape.split(",").map(Number));
}

function writeTensor(tensor, path) {
  const { buffer, byteOffset, byteLength } = tensor.data;
  fs.writeFileSync(path, Buffer.from(buffer, byteOffset, byteLength));
  const kind = Object.keys(KINDS).find((key) => KINDS[key][0] === tensor.type);
  console.log(`${kind}\t${tensor.dims.join(",")}`);
}

async function main([folder, file, job]) {
  const ort = require(folder);
  const session = await ort.InferenceSession.create(file, {
    graphOptimizationLevel: "all",
    intraOpNumThreads: 1,
  });
  let inputs = {};
  let outputs = [];
  for (const line of fs.readFileSync(job, "utf8").split("\n").filter(Boolean)) {
    const [verb, name, ...fields] = line.split("\t");
    if (verb === "input") {
      inputs[name] = readTensor(ort, ...fields);
    } else if (verb === "output") {
      outputs.push([name, fields[0]]);
    } else {
      const answers = await session.run(inputs, outputs.map(([output]) => output));
      for (const [output, path] of outputs) writeTensor(answers[output], path);
      inputs = {};
      outputs = [];
    }
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`error: ${error.message}`);
  process.exit(1);
});
