package org.ftcluster.worker.model;

import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/** Makes a {@link CausalLanguageModel} of a Hugging Face model folder. */
public final class ModelLoader {
  private ModelLoader() {}

  /**
   * Loads a model for training, its parameters zeroed: {@link TrainableModel#initialize}, or what a
   * checkpoint holds, comes next. To be called on the thread that will run the model.
   *
   * @param threads of libtorch and of the kernels
   * @throws org.ftcluster.protocol.job.BadJobException when folder and job don't fit each other
   */
  public static CausalLanguageModel load(
      JobSpec.Model model, JobSpec.Adapter adapter, MemorySavings savings, int threads) {
    return load(model, adapter, savings, threads, null);
  }

  /**
   * The same.
   *
   * @param accelerator that runs it, which stays when the model is closed; null for the host
   */
  public static CausalLanguageModel load(
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      MemorySavings savings,
      int threads,
      @Nullable Accelerator accelerator) {
    ModelConfig config = ModelConfigReader.read(model.path());
    BaseTensors source = FolderTensors.open(model.path());
    return load(config, source, model, adapter, savings, threads, accelerator);
  }

  /**
   * Loads a part of a model for training.
   *
   * @param parameters of the whole model, see {@link #newParameters}; they stay when the part is
   *     closed
   * @param accelerator that runs it, which stays, too; null for the host
   * @throws org.ftcluster.protocol.job.BadJobException when folder and job don't fit each other
   */
  public static CausalLanguageModel loadPart(
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      MemorySavings savings,
      int threads,
      ModelPart part,
      ParameterBuffer parameters,
      @Nullable Accelerator accelerator) {
    ModelConfig config = ModelConfigReader.read(model.path());
    BaseTensors source = FolderTensors.open(model.path());
    return load(
        config, source, model, adapter, savings, threads, part, parameters, accelerator, () -> {});
  }

  /** What a job trains, over all parts of its model, zeroed. */
  public static ParameterBuffer newParameters(
      JobSpec.Model model, JobSpec.Adapter adapter, MemorySavings savings) {
    ModelConfig config = ModelConfigReader.read(model.path());
    try (BaseTensors source = FolderTensors.open(model.path())) {
      return new ParameterBuffer(slices(config, adapter, source), savings.valuesIn(model));
    }
  }

  /**
   * As above without an adapter: for evaluation and generation.
   *
   * @param accelerator that runs it, which stays when the model is closed; null for the host
   */
  public static CausalLanguageModel loadFrozen(
      JobSpec.Model model, int threads, @Nullable Accelerator accelerator) {
    var none = new JobSpec.Adapter(JobSpec.AdapterType.LORA, 1, 1, 0, List.of(), false, null);
    return load(model, none, MemorySavings.NONE, threads, accelerator);
  }

  /**
   * A model of that shape with random weights, for measurements.
   *
   * @param accelerator that runs it, which stays when the model is closed; null for the host
   */
  public static CausalLanguageModel loadRandom(
      ModelConfig config,
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      MemorySavings savings,
      int threads,
      @Nullable Accelerator accelerator) {
    return load(config, new RandomTensors(), model, adapter, savings, threads, accelerator);
  }

  /** A model of that shape for dry runs. */
  static CausalLanguageModel loadHollow(
      ModelConfig config,
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      MemorySavings savings,
      @Nullable Accelerator accelerator) {
    return load(config, new HollowTensors(), model, adapter, savings, 1, accelerator);
  }

  /** How many parameters a job trains. */
  public static long trainedParameters(JobSpec.Model model, JobSpec.Adapter adapter) {
    ModelConfig config = ModelConfigReader.read(model.path());
    try (BaseTensors source = FolderTensors.open(model.path())) {
      return slices(config, adapter, source).stream().mapToLong(ParameterBuffer.Slice::size).sum();
    }
  }

  private static CausalLanguageModel load(
      ModelConfig config,
      BaseTensors source,
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      MemorySavings savings,
      int threads,
      @Nullable Accelerator accelerator) {
    ParameterBuffer parameters;
    try {
      parameters = new ParameterBuffer(slices(config, adapter, source), savings.valuesIn(model));
    } catch (RuntimeException | Error e) {
      source.close();
      throw e;
    }
    ModelPart whole = ModelPart.whole(config);
    return load(
        config,
        source,
        model,
        adapter,
        savings,
        threads,
        whole,
        parameters,
        accelerator,
        parameters::close);
  }

  private static List<ParameterBuffer.Slice> slices(
      ModelConfig config, JobSpec.Adapter adapter, BaseTensors source) {
    return switch (adapter.type()) {
      case LORA -> AdapterLayout.slices(config, adapter);
      case NONE -> {
        if (config.isPartOfAnother()) {
          throw new BadJobException(
              "adapter.type is none, but of %s only the language model is known here, so a whole model can't be written; lora would work."
                  .formatted(config.architecture().className()));
        }
        yield BaseLayout.slices(config, isTied(config, source));
      }
    };
  }

  private static boolean isTied(ModelConfig config, BaseTensors source) {
    return config.tiedHead() || !source.contains(BaseLayout.HEAD);
  }

  /**
   * @param release what goes with the model besides its weights
   */
  private static CausalLanguageModel load(
      ModelConfig config,
      BaseTensors source,
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      MemorySavings savings,
      int threads,
      ModelPart part,
      ParameterBuffer parameters,
      @Nullable Accelerator accelerator,
      Runnable release) {
    Aten.initialize();
    Parallel.setThreads(threads);
    DType computeType =
        switch (model.dtype()) {
          case BFLOAT16 -> DType.BFLOAT16;
          case FLOAT32 -> DType.FLOAT32;
        };
    Scope scope = Scope.persistent(accelerator);
    LayerWindow window = window(part, savings, scope, accelerator);
    OffloadedActivations activations = activations(savings, accelerator);
    Runnable disk =
        () -> {
          if (window != null) {
            window.close();
          }
          if (activations != null) {
            activations.close();
          }
        };
    AutoCloseable weights =
        () -> {
          disk.run();
          scope.close();
          source.close();
          release.run();
        };
    try {
      WeightReader reader = new WeightReader(source, scope, computeType);
      boolean tied = isTied(config, source);
      GatheredParameters gathered =
          part.trainedShards() == 0
              ? null
              : new GatheredParameters(
                  scope, ParameterUnit.of(parameters), part, computeType, tied);
      TrainedTensors trained = new TrainedTensors(scope, parameters, computeType, gathered);
      return new PartBuilder(
              config, model, adapter, part, reader, trained, window, activations, gathered)
          .build(tied, computeType, savings, Workspace.of(accelerator), weights);
    } catch (RuntimeException | Error e) {
      disk.run();
      scope.close();
      source.close();
      release.run();
      throw e;
    }
  }

  private static @Nullable LayerWindow window(
      ModelPart part, MemorySavings savings, Scope scope, @Nullable Accelerator accelerator) {
    if (part.shards() > 1) {
      return new LayerWindow(new SharedLayers(part.shard(), part.shards(), scope), scope);
    }
    return switch (savings.parameters()) {
      case Tier.Memory() -> null;
      case Tier.Host() ->
          new LayerWindow(new HostLayers(Objects.requireNonNull(accelerator)), scope);
      case Tier.Disk(Path folder) -> new LayerWindow(new FiledLayers(folder), scope);
    };
  }

  private static @Nullable OffloadedActivations activations(
      MemorySavings savings, @Nullable Accelerator accelerator) {
    return switch (savings.activations()) {
      case Tier.Memory() -> null;
      case Tier.Host() ->
          new OffloadedActivations(new HostActivations(Objects.requireNonNull(accelerator)));
      case Tier.Disk(Path folder) -> new OffloadedActivations(new FiledActivations(folder));
    };
  }
}
