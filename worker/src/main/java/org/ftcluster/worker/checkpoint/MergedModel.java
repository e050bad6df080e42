package org.ftcluster.worker.checkpoint;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.safetensors.OutgoingTensor;
import org.ftcluster.worker.safetensors.PieceSink;
import org.ftcluster.worker.safetensors.SafetensorsException;
import org.ftcluster.worker.safetensors.SafetensorsFile;
import org.ftcluster.worker.safetensors.SafetensorsFolder;
import org.ftcluster.worker.safetensors.SafetensorsWriter;
import org.ftcluster.worker.safetensors.StreamedTensor;
import org.ftcluster.worker.safetensors.TensorView;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/**
 * A model and its adapter as one, in a Hugging Face folder that needs no PEFT: each adapted weight
 * is {@code W + scaling B A} (arXiv:2106.09685, section 4.1), added up in float32 and rounded once
 * to the type that the file has. All else is the base model's: tensors, their names, how they are
 * dealt to files, configuration and tokenizer.
 *
 * <p>Weights are read and written tensor by tensor, so memory holds no more than a part of one.
 */
public final class MergedModel {
  private static final String PREFIX = "base_model.model.";
  private static final String LORA_A = ".lora_A.weight";
  private static final String LORA_B = ".lora_B.weight";

  /** Elements of a weight that are in memory at once. */
  static final long PIECE = 1 << 20;

  private final SafetensorsFolder base;
  private final double scaling;

  /** By the base tensor that it is for. */
  private final Map<String, Pair> pairs;

  /**
   * A layer's adapter.
   *
   * @param a [r, in]
   * @param b [out, r]
   */
  private record Pair(TensorView a, TensorView b) {}

  private MergedModel(SafetensorsFolder base, double scaling, Map<String, Pair> pairs) {
    this.base = base;
    this.scaling = scaling;
    this.pairs = pairs;
  }

  /**
   * Writes the two as one.
   *
   * @param folder is replaced, see {@link Folders#publish}
   * @param model the base model's folder
   * @param adapter PEFT's folder
   * @param threads that compute
   * @return how many weights are other than the base model's
   * @throws BadJobException when one isn't what it should be, or they don't fit each other
   * @throws CheckpointException when it can't be written: what was there stays
   */
  public static int write(Path folder, Path model, Path adapter, int threads) {
    Aten.initialize();
    Parallel.setThreads(threads);
    double scaling = AdapterConfig.read(adapter).scaling();
    try (SafetensorsFolder base = SafetensorsFolder.open(model);
        SafetensorsFile lora = SafetensorsFile.open(adapter.resolve(PeftAdapter.WEIGHTS))) {
      MergedModel merged = new MergedModel(base, scaling, pairs(lora, base, model));
      merged.write(folder, model);
      return merged.pairs.size();
    } catch (SafetensorsException e) {
      throw new BadJobException(String.valueOf(e.getMessage()), e);
    } catch (IOException e) {
      throw new CheckpointException(
          "%s: the model can't be saved: %s.".formatted(folder, e.getMessage()), e);
    }
  }

  private static Map<String, Pair> pairs(SafetensorsFile lora, SafetensorsFolder base, Path model) {
    Map<String, Pair> pairs = new TreeMap<>();
    for (String name : lora.names()) {
      boolean isA = name.endsWith(LORA_A);
      if (!name.startsWith(PREFIX) || !(isA || name.endsWith(LORA_B))) {
        throw new BadJobException(
            "%s: tensor %s is none of a linear layer's adapter, and can't be merged."
                .formatted(lora.path(), name));
      }
      String layer = name.substring(PREFIX.length(), name.length() - LORA_A.length());
      if (isA) {
        Pair pair = new Pair(lora.get(name), lora.get(PREFIX + layer + LORA_B));
        TensorView weight = weight(base, layer, model);
        check(lora.path(), pair, weight);
        pairs.put(weight.name(), pair);
      } else if (!lora.contains(PREFIX + layer + LORA_A)) {
        throw new BadJobException("%s: %s has no lora_A.".formatted(lora.path(), layer));
      }
    }
    return pairs;
  }

  /** What an adapter is for; language models that are parts of others have two names in files. */
  private static TensorView weight(SafetensorsFolder base, String layer, Path model) {
    String newer = "model.language_model.";
    String older = "language_model.model.";
    return Stream.of(layer, layer.replace(newer, older), layer.replace(older, newer))
        .map(name -> name + ".weight")
        .filter(base::contains)
        .findFirst()
        .map(base::get)
        .orElseThrow(
            () ->
                new BadJobException(
                    "%s has no tensor %s.weight, which the adapter is for; it is for another base model."
                        .formatted(model, layer)));
  }

  private static void check(Path file, Pair pair, TensorView weight) {
    long[] a = pair.a().shape();
    long[] b = pair.b().shape();
    boolean fits = a.length == 2 && b.length == 2 && a[0] == b[1];
    if (!fits || !Arrays.equals(weight.shape(), new long[] {b[0], a[1]})) {
      throw new BadJobException(
          "%s: %s %s and lora_B %s don't fit the base model's %s %s."
              .formatted(
                  file,
                  pair.a().name(),
                  Arrays.toString(a),
                  Arrays.toString(b),
                  weight.name(),
                  Arrays.toString(weight.shape())));
    }
    for (TensorView tensor : List.of(pair.a(), pair.b(), weight)) {
      type(tensor);
    }
  }

  private static DType type(TensorView tensor) {
    return tensor
        .dtype()
        .computed()
        .orElseThrow(
            () ->
                new BadJobException(
                    "tensor %s is of type %s; only F32, F16 and BF16 can be merged."
                        .formatted(tensor.name(), tensor.dtype())));
  }

  private void write(Path folder, Path model) throws IOException {
    Path partial = Folders.createPartial(folder);
    try {
      FullModel.copyOthers(model, partial);
      for (Map.Entry<Path, List<String>> file : base.namesByFile().entrySet()) {
        List<OutgoingTensor> tensors = new ArrayList<>();
        for (String name : file.getValue()) {
          tensors.add(merged(base.get(name)));
        }
        Path target = partial.resolve(file.getKey().getFileName());
        SafetensorsWriter.write(target, tensors, Map.of("format", "pt"));
      }
      Path index = model.resolve(SafetensorsFolder.INDEX);
      if (Files.exists(index)) {
        FullModel.copy(index, partial);
      }
      Folders.publish(partial, folder);
    } finally {
      Folders.delete(partial);
    }
  }

  private OutgoingTensor merged(TensorView weight) {
    Pair pair = pairs.get(weight.name());
    return pair == null
        ? weight
        : new StreamedTensor(
            weight.name(), weight.dtype(), weight.shape(), sink -> merge(weight, pair, sink));
  }

  private void merge(TensorView weight, Pair pair, PieceSink sink) throws IOException {
    long rows = weight.shape()[0];
    long columns = weight.shape()[1];
    long most = Math.max(1, PIECE / columns);
    try (Scope scope = Scope.persistent()) {
      Tensor from = scope.wrap(weight.data(), type(weight), rows, columns);
      Tensor a = float32(scope, pair.a());
      Tensor b = float32(scope, pair.b());
      for (long row = 0; row < rows; row += most) {
        long end = Math.min(rows, row + most);
        try (Scope piece = Scope.persistent();
            Arena arena = Arena.ofConfined()) {
          Tensor sum = piece.empty(DType.FLOAT32, end - row, columns);
          Aten.copy(sum, from.slice(0, row, end));
          Aten.addmm(sum, b.slice(0, row, end), a, 1, scaling);
          Tensor rounded = piece.empty(from.dtype(), end - row, columns);
          Aten.copy(rounded, sum);
          sink.take(rounded.read(arena));
        }
      }
    }
  }

  private static Tensor float32(Scope scope, TensorView view) {
    Tensor tensor = scope.empty(DType.FLOAT32, view.shape());
    Aten.copy(tensor, scope.wrap(view.data(), type(view), view.shape()));
    return tensor;
  }
}
