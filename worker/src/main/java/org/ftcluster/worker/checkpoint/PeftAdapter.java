package org.ftcluster.worker.checkpoint;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec.Adapter;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.worker.model.FloatSource;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.safetensors.SafetensorsException;
import org.ftcluster.worker.safetensors.SafetensorsFile;
import org.ftcluster.worker.safetensors.SafetensorsWriter;
import org.ftcluster.worker.safetensors.StreamedTensor;
import org.ftcluster.worker.safetensors.TensorView;

/**
 * LoRA adapters in the layout of Hugging Face PEFT, which vLLM reads as well: a folder with {@code
 * adapter_model.safetensors} and {@code adapter_config.json}.
 */
public final class PeftAdapter {
  static final String WEIGHTS = "adapter_model.safetensors";

  private static final String LORA_A = ".lora_A.weight";
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private PeftAdapter() {}

  /**
   * Replaces an adapter folder, see {@link Folders#publish}.
   *
   * @param baseModel the folder of the model that it is for
   * @param values of all parameters, read tensor by tensor
   * @return SHA-256 of the weights' file, which depends on nothing but names, shapes and values
   * @throws CheckpointException when it can't be written: what was there stays
   */
  public static String write(
      Path folder,
      Adapter adapter,
      Path baseModel,
      List<ParameterBuffer.Slice> parameters,
      FloatSource values) {
    List<StreamedTensor> tensors = parameters.stream().map(values::tensor).toList();
    try {
      Path partial = Folders.createPartial(folder);
      try {
        SafetensorsWriter.write(partial.resolve(WEIGHTS), tensors, Map.of("format", "pt"));
        AdapterConfig.write(
            partial, adapter, targetModules(adapter, parameters), isOfPart(parameters), baseModel);
        String sha256 = Checksums.sha256(partial.resolve(WEIGHTS));
        Folders.publish(partial, folder);
        return sha256;
      } finally {
        Folders.delete(partial);
      }
    } catch (IOException e) {
      throw new CheckpointException(
          "%s: the adapter can't be saved: %s.".formatted(folder, e.getMessage()), e);
    }
  }

  /**
   * What a folder's adapter is, in a job's words; {@code initFrom} is {@code null}.
   *
   * @throws BadJobException when it is none, or of a kind that is not supported
   */
  public static Adapter read(Path folder) {
    Adapter saved = AdapterConfig.read(folder);
    Path weights = folder.resolve(WEIGHTS);
    if (!Files.exists(weights)) {
      return saved;
    }
    try (SafetensorsFile file = SafetensorsFile.open(weights)) {
      // PEFT's file may have a pattern, or names of layers that it has left out.
      List<String> layers = layers(file.names());
      return layers.containsAll(saved.targetModules()) ? saved : saved.withTargetModules(layers);
    } catch (SafetensorsException e) {
      throw new BadJobException(String.valueOf(e.getMessage()), e);
    }
  }

  /**
   * Reads an adapter's weights, of any floating-point type.
   *
   * @param adapter the job's, which must compute the same with them
   * @param parameters the model's; their values are overwritten
   * @throws BadJobException when it doesn't fit: which tensor or setting, what it is, and what the
   *     job needs
   */
  public static void readInto(Path folder, Adapter adapter, ParameterBuffer parameters) {
    Adapter saved = read(folder);
    checkSettings(folder, saved, adapter);
    try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(WEIGHTS))) {
      Set<String> unused = new HashSet<>(file.names());
      for (ParameterBuffer.Slice slice : parameters.slices()) {
        String name = stored(file, slice.name());
        if (!unused.remove(name)) {
          throw new BadJobException(
              "%s: has no tensor %s, which this job trains (target_modules %s); the adapter is for %s."
                  .formatted(
                      file.path(), slice.name(), adapter.targetModules(), saved.targetModules()));
        }
        TensorView tensor = file.get(name);
        if (!Arrays.equals(tensor.shape(), slice.shape())) {
          throw new BadJobException(
              "%s: tensor %s is %s, but for this model it would have to be %s: the adapter is for another base model."
                  .formatted(
                      file.path(),
                      slice.name(),
                      Arrays.toString(tensor.shape()),
                      Arrays.toString(slice.shape())));
        }
        convert(file.path(), tensor, slice.of(parameters.values()));
      }
      if (!unused.isEmpty()) {
        throw new BadJobException(
            "%s: holds tensor %s, which this job doesn't train (target_modules %s); the adapter is for %s."
                .formatted(
                    file.path(),
                    new TreeSet<>(unused).first(),
                    adapter.targetModules(),
                    saved.targetModules()));
      }
    } catch (SafetensorsException e) {
      throw new BadJobException(String.valueOf(e.getMessage()), e);
    }
  }

  /** Before Transformers 4.52 layers of a model that sees, too, had other names. */
  private static String stored(SafetensorsFile file, String name) {
    String older = name.replace(AdapterConfig.LANGUAGE_MODEL, "language_model.model.");
    return file.names().contains(older) ? older : name;
  }

  private static void checkSettings(Path folder, Adapter saved, Adapter job) {
    if (saved.r() != job.r()) {
      throw new BadJobException(
          "%s: the adapter has r %d, but the job says adapter.r: %d."
              .formatted(folder, saved.r(), job.r()));
    }
    if (saved.scaling() != job.scaling()) {
      throw new BadJobException(
          "%s: the adapter has lora_alpha %d and use_rslora %s, but the job says adapter.lora_alpha: %d and adapter.use_rslora: %s."
              .formatted(
                  folder, saved.loraAlpha(), saved.useRslora(), job.loraAlpha(), job.useRslora()));
    }
  }

  /** Whether the model is a part of another one, whose other parts have no adapter. */
  private static boolean isOfPart(List<ParameterBuffer.Slice> parameters) {
    return parameters.stream()
        .anyMatch(slice -> slice.name().contains(AdapterConfig.LANGUAGE_MODEL));
  }

  /** The layers' own names where the job says {@code all-linear}, as PEFT resolves it. */
  private static List<String> targetModules(
      Adapter adapter, List<ParameterBuffer.Slice> parameters) {
    return adapter.targetModules().equals(List.of(JobSpecReader.ALL_LINEAR))
        ? layers(parameters.stream().map(ParameterBuffer.Slice::name).toList())
        : adapter.targetModules();
  }

  /** The names of the layers that an adapter's tensors are of. */
  private static List<String> layers(Collection<String> tensors) {
    Set<String> names = new TreeSet<>();
    for (String tensor : tensors) {
      if (tensor.endsWith(LORA_A)) {
        String layer = tensor.substring(0, tensor.length() - LORA_A.length());
        names.add(layer.substring(layer.lastIndexOf('.') + 1));
      }
    }
    return List.copyOf(names);
  }

  private static void convert(Path file, TensorView tensor, MemorySegment target) {
    MemorySegment data = tensor.data();
    switch (tensor.dtype()) {
      case F32 -> target.copyFrom(data);
      case BF16 -> {
        for (long i = 0; i < tensor.size(); i++) {
          int bits = data.get(SHORT, i * Short.BYTES) << 16;
          target.set(FLOAT, i * Float.BYTES, Float.intBitsToFloat(bits));
        }
      }
      case F16 -> {
        for (long i = 0; i < tensor.size(); i++) {
          float value = Float.float16ToFloat(data.get(SHORT, i * Short.BYTES));
          target.set(FLOAT, i * Float.BYTES, value);
        }
      }
      case F64, I64, I32, I16, I8, U8, BOOL ->
          throw new BadJobException(
              "%s: tensor %s is of type %s, but F32, BF16 or F16 belongs there."
                  .formatted(file, tensor.name(), tensor.dtype()));
    }
  }
}
