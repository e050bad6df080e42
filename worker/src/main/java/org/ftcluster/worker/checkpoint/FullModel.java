package org.ftcluster.worker.checkpoint;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.ftcluster.protocol.file.DurableFiles;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.model.FloatSource;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.safetensors.DType;
import org.ftcluster.worker.safetensors.OutgoingTensor;
import org.ftcluster.worker.safetensors.PieceSink;
import org.ftcluster.worker.safetensors.SafetensorsWriter;
import org.ftcluster.worker.safetensors.StreamedTensor;
import org.ftcluster.worker.tensor.kernel.RowOps;

/**
 * Models that were trained as a whole, as Hugging Face folders: weights in the type of the job's
 * {@code model.dtype}, and everything else from the base model's folder.
 */
public final class FullModel {
  static final String WEIGHTS = "model.safetensors";

  private static final String CONFIG = "config.json";

  /** Weights of the base model, in whatever format. */
  private static final Set<String> WEIGHT_SUFFIXES =
      Set.of("safetensors", "bin", "pt", "pth", "gguf", "h5", "msgpack", "onnx", "index.json");

  private static final JsonMapper JSON = new JsonMapper();

  private FullModel() {}

  /**
   * Replaces a model folder, see {@link Folders#publish}.
   *
   * @param values of all parameters, read tensor by tensor
   * @return SHA-256 of the weights' file, which depends on nothing but names, shapes and values
   * @throws CheckpointException when it can't be written: what was there stays
   */
  public static String write(
      Path folder, JobSpec.Model base, List<ParameterBuffer.Slice> parameters, FloatSource values) {
    try {
      Path partial = Folders.createPartial(folder);
      try {
        copyOthers(base.path(), partial);
        writeConfig(base, partial);
        List<OutgoingTensor> tensors = new ArrayList<>();
        for (ParameterBuffer.Slice slice : parameters) {
          tensors.add(tensor(base.dtype(), slice, values));
        }
        SafetensorsWriter.write(partial.resolve(WEIGHTS), tensors, Map.of("format", "pt"));
        String sha256 = Checksums.sha256(partial.resolve(WEIGHTS));
        Folders.publish(partial, folder);
        return sha256;
      } finally {
        Folders.delete(partial);
      }
    } catch (IOException e) {
      throw new CheckpointException(
          "%s: the model can't be saved: %s.".formatted(folder, e.getMessage()), e);
    }
  }

  private static OutgoingTensor tensor(
      JobSpec.ComputeType type, ParameterBuffer.Slice slice, FloatSource values) {
    long from = slice.offset();
    long to = from + slice.size();
    return switch (type) {
      case FLOAT32 -> values.tensor(slice);
      case BFLOAT16 ->
          new StreamedTensor(
              slice.name(),
              DType.BF16,
              slice.shape(),
              sink -> values.read(from, to, piece -> narrow(piece, sink)));
    };
  }

  private static void narrow(MemorySegment piece, PieceSink sink) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment narrow = arena.allocate(piece.byteSize() / Float.BYTES * Short.BYTES, 64);
      RowOps.toBfloat16(narrow, piece);
      sink.take(narrow);
    }
  }

  /** Tokenizer, chat template, generation settings, licence. */
  static void copyOthers(Path from, Path to) throws IOException {
    List<Path> files;
    try (Stream<Path> all = Files.list(from)) {
      files = all.filter(Files::isRegularFile).filter(file -> !isWeights(file)).sorted().toList();
    }
    for (Path file : files) {
      copy(file, to);
    }
  }

  /** A small file. */
  static void copy(Path file, Path to) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    DurableFiles.write(
        to.resolve(file.getFileName().toString()),
        channel -> DurableFiles.writeFully(channel, bytes));
  }

  private static boolean isWeights(Path file) {
    String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
    return WEIGHT_SUFFIXES.stream().anyMatch(suffix -> name.endsWith("." + suffix));
  }

  /** Transformers 5 calls the weights' type {@code dtype}, version 4 {@code torch_dtype}. */
  private static void writeConfig(JobSpec.Model base, Path folder) throws IOException {
    ObjectNode config = (ObjectNode) JSON.readTree(base.path().resolve(CONFIG).toFile());
    String type = base.dtype().name().toLowerCase(Locale.ROOT);
    config.put(config.has("torch_dtype") ? "torch_dtype" : "dtype", type);
    DurableFiles.write(
        folder.resolve(CONFIG), JSON.writerWithDefaultPrettyPrinter().writeValueAsString(config));
  }
}
