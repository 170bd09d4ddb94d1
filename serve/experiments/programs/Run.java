import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Runs an ONNX file on the cases of a job file: java Run BINDING LIBRARY MODEL JOB
 *
 * <p>The job is that of run.c. BINDING is run_jni.c, built: Java reaches ONNX Runtime's C ABI by JNI.
 */
public final class Run {
  private static native long open(String library, String file);

  /** Returns the outputs' data; fills in their types and shapes. */
  private static native byte[][] call(
      long model, String[] names, int[] types, long[][] shapes, byte[][] data,
      String[] outputs, int[] outputTypes, long[][] outputShapes);

  private record Input(String name, int type, long[] shape, byte[] data) {}

  private record Output(String name, Path path) {}

  public static void main(String[] words) throws IOException {
    System.load(words[0]);
    try {
      run(open(words[1], words[2]), Path.of(words[3]));
    } catch (IllegalStateException e) {
      System.err.println("error: " + e.getMessage());
      System.exit(1);
    }
  }

  private static void run(long model, Path job) throws IOException {
    List<Input> inputs = new ArrayList<>();
    List<Output> outputs = new ArrayList<>();
    for (String line : Files.readAllLines(job)) {
      String[] fields = line.split("\t", -1);
      switch (fields[0]) {
        case "input" -> inputs.add(readInput(fields));
        case "output" -> outputs.add(new Output(fields[1], Path.of(fields[2])));
        default -> {
          call(model, inputs, outputs);
          inputs.clear();
          outputs.clear();
        }
      }
    }
  }

  private static Input readInput(String[] fields) throws IOException {
    String[] sizes = fields[3].isEmpty() ? new String[0] : fields[3].split(",");
    long[] shape = new long[sizes.length];
    for (int axis = 0; axis < shape.length; axis++) {
      shape[axis] = Long.parseLong(sizes[axis]);
    }
    byte[] data = Files.readAllBytes(Path.of(fields[4]));
    return new Input(fields[1], Integer.parseInt(fields[2]), shape, data);
  }

  private static void call(long model, List<Input> inputs, List<Output> outputs)
      throws IOException {
    int[] types = new int[outputs.size()];
    long[][] shapes = new long[outputs.size()][];
    byte[][] answers =
        call(
            model,
            inputs.stream().map(Input::name).toArray(String[]::new),
            inputs.stream().mapToInt(Input::type).toArray(),
            inputs.stream().map(Input::shape).toArray(long[][]::new),
            inputs.stream().map(Input::data).toArray(byte[][]::new),
            outputs.stream().map(Output::name).toArray(String[]::new),
            types,
            shapes);
    for (int i = 0; i < answers.length; i++) {
      Files.write(outputs.get(i).path(), answers[i]);
      StringBuilder told = new StringBuilder(types[i] + "\t");
      for (int axis = 0; axis < shapes[i].length; axis++) {
        told.append(axis == 0 ? "" : ",").append(shapes[i][axis]);
      }
      System.out.println(told);
    }
  }
}
