package org.ftcluster.worker.model;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.quantization.Weight;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/** Builds a {@link CausalLanguageModel} from a Hugging Face model folder. */
public final class ModelLoader {
  private final ModelConfig config;
  private final JobSpec.Model model;
  private final JobSpec.Adapter adapter;
  private final ModelPart part;
  private final WeightReader reader;
  private final TrainedTensors trained;
  private final TensorGroup slices;
  private final RotaryTable rotary;
  private final @Nullable LayerWindow window;
  private final @Nullable FiledActivations activations;
  private final @Nullable GatheredParameters gathered;

  private ModelLoader(
      ModelConfig config,
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      ModelPart part,
      WeightReader reader,
      TrainedTensors trained,
      @Nullable LayerWindow window,
      @Nullable FiledActivations activations,
      @Nullable GatheredParameters gathered) {
    this.window = window;
    this.activations = activations;
    this.gathered = gathered;
    this.config = config;
    this.model = model;
    this.adapter = adapter;
    this.part = part;
    this.reader = reader;
    this.trained = trained;
    this.slices = new TensorGroup(part.slices());
    this.rotary = new RotaryTable(config);
  }

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
   * @param accelerator that runs it, closed with the model; null for the host
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
   * @throws org.ftcluster.protocol.job.BadJobException when folder and job don't fit each other
   */
  public static CausalLanguageModel loadPart(
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      MemorySavings savings,
      int threads,
      ModelPart part,
      ParameterBuffer parameters) {
    ModelConfig config = ModelConfigReader.read(model.path());
    BaseTensors source = FolderTensors.open(model.path());
    return load(config, source, model, adapter, savings, threads, part, parameters, null, () -> {});
  }

  /** What a job trains, over all parts of its model, zeroed. */
  public static ParameterBuffer newParameters(
      JobSpec.Model model, JobSpec.Adapter adapter, MemorySavings savings) {
    ModelConfig config = ModelConfigReader.read(model.path());
    try (BaseTensors source = FolderTensors.open(model.path())) {
      return new ParameterBuffer(slices(config, adapter, source), savings.valuesIn(model));
    }
  }

  /** As above without an adapter: for evaluation and generation. */
  public static CausalLanguageModel loadFrozen(JobSpec.Model model, int threads) {
    var none = new JobSpec.Adapter(JobSpec.AdapterType.LORA, 1, 1, 0, List.of(), false, null);
    return load(model, none, MemorySavings.NONE, threads);
  }

  /**
   * A model of that shape with random weights, for measurements.
   *
   * @param accelerator that runs it, closed with the model; null for the host
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
      ModelConfig config, JobSpec.Model model, JobSpec.Adapter adapter, MemorySavings savings) {
    return load(config, new HollowTensors(), model, adapter, savings, 1, null);
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
    Runnable release =
        () -> {
          parameters.close();
          if (accelerator != null) {
            accelerator.close();
          }
        };
    return load(
        config, source, model, adapter, savings, threads, whole, parameters, accelerator, release);
  }

  private static List<ParameterBuffer.Slice> slices(
      ModelConfig config, JobSpec.Adapter adapter, BaseTensors source) {
    return switch (adapter.type()) {
      case LORA -> AdapterLayout.slices(config, adapter);
      case NONE -> BaseLayout.slices(config, isTied(config, source));
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
    LayerWindow window = window(part, savings, scope);
    Path folder = savings.activationsIn();
    FiledActivations activations = folder == null ? null : new FiledActivations(folder);
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
          part.trainedShards() == 1
              ? null
              : new GatheredParameters(
                  scope, ParameterUnit.of(parameters), part.trainedShards(), computeType, tied);
      TrainedTensors trained = new TrainedTensors(scope, parameters, computeType, gathered);
      return new ModelLoader(
              config, model, adapter, part, reader, trained, window, activations, gathered)
          .build(parameters, tied, computeType, savings, Workspace.of(accelerator), weights);
    } catch (RuntimeException | Error e) {
      disk.run();
      scope.close();
      source.close();
      release.run();
      throw e;
    }
  }

  private static @Nullable LayerWindow window(ModelPart part, MemorySavings savings, Scope scope) {
    Path folder = savings.parametersIn();
    if (part.shards() > 1) {
      return new LayerWindow(new SharedLayers(part.shard(), part.shards(), scope), scope);
    }
    return folder == null ? null : new LayerWindow(new FiledLayers(folder), scope);
  }

  private CausalLanguageModel build(
      ParameterBuffer parameters,
      boolean tied,
      DType computeType,
      MemorySavings savings,
      Workspace workspace,
      AutoCloseable weights) {
    InitialValues initialValues =
        switch (adapter.type()) {
          case LORA -> AdapterInitializer::fill;
          case NONE -> (values, seed) -> readBase(values);
        };
    List<DecoderLayer> layers = new ArrayList<>(part.layers().size());
    for (int i = part.layers().from(); i < part.layers().to(); i++) {
      layers.add(layer(BaseLayout.layer(i)));
    }
    LoadedPart loaded =
        new LoadedPart(
            part,
            config.hiddenSize(),
            computeType,
            part.isFirst() ? embedding() : null,
            layers,
            part.isLast() ? head(tied) : null,
            parameters,
            new WeightSupply(window, gathered),
            activations,
            savings);
    return new CausalLanguageModel(
        config, loaded, trained, initialValues, workspace, slices, weights);
  }

  private Embedding embedding() {
    Piece piece = vocabularyPiece();
    Parameter own = trained.matrix(BaseLayout.EMBEDDING, piece);
    Parameter table =
        own != null
            ? own
            : Parameter.frozen(
                reader.table(
                    BaseLayout.EMBEDDING, config.vocabularySize(), config.hiddenSize(), piece));
    return new Embedding(table, piece.rows(), slices);
  }

  private LanguageHead head(boolean tied) {
    String name = tied ? BaseLayout.EMBEDDING : BaseLayout.HEAD;
    Piece piece = vocabularyPiece();
    Parameter own = trained.matrix(name, piece);
    Parameter weight =
        own != null
            ? own
            : Parameter.frozen(
                reader.matrix(name, config.vocabularySize(), config.hiddenSize(), piece));
    return new LanguageHead(
        norm(BaseLayout.FINAL_NORM),
        weight,
        new TargetLoss(piece.rows(), slices, part.slices() > 1),
        slices);
  }

  private Piece vocabularyPiece() {
    return Piece.whole(config.vocabularySize(), config.hiddenSize())
        .withRows(part.vocabulary(config));
  }

  /** The base model's own weights, from which full fine-tuning begins. */
  private void readBase(ParameterBuffer parameters) {
    try (Scope temporary = Scope.persistent()) {
      for (ParameterBuffer.Slice slice : parameters.slices()) {
        reader.read(
            slice.name(),
            temporary.wrap(slice.of(parameters.values()), DType.FLOAT32, slice.shape()));
      }
    }
  }

  private DecoderLayer layer(String prefix) {
    if (window != null) {
      window.newLayer();
    }
    Map<String, Linear> linears = new HashMap<>();
    for (AdapterLayout.Module module : AdapterLayout.modules(config)) {
      linears.put(module.name(), linear(prefix, module));
    }
    AttentionBlock attention =
        new AttentionBlock(
            part.sliced(config),
            rotary,
            norm(prefix + "input_layernorm.weight"),
            linears.get("q_proj"),
            linears.get("k_proj"),
            linears.get("v_proj"),
            linears.get("o_proj"),
            slices);
    FeedForwardBlock feedForward =
        new FeedForwardBlock(
            norm(prefix + "post_attention_layernorm.weight"),
            linears.get("gate_proj"),
            linears.get("up_proj"),
            linears.get("down_proj"),
            slices);
    return new DecoderLayer(attention, feedForward);
  }

  private Norm norm(String name) {
    int size = config.hiddenSize();
    Parameter own = trained.vector(name, new Span(0, size));
    return new Norm(
        own != null ? own : Parameter.frozen(reader.vector(name, size)), config.normEps());
  }

  private Linear linear(String prefix, AdapterLayout.Module module) {
    String name = prefix + module.path();
    Piece piece = part.piece(config, module);
    Parameter bias =
        BaseLayout.hasBias(config, module) ? bias(name + ".bias", module, piece) : null;
    Parameter weight = trained.matrix(name + ".weight", piece);
    return weight != null
        ? Linear.trained(weight, bias)
        : Linear.frozen(frozen(name + ".weight", module, piece), bias, lora(name, module, piece));
  }

  private Weight frozen(String name, AdapterLayout.Module module, Piece piece) {
    if (window == null) {
      return reader.linear(name, module.outputs(), module.inputs(), model.quantization(), piece);
    }
    try (Scope temporary = Scope.persistent()) {
      return window.keep(
          reader
              .into(temporary)
              .linear(name, module.outputs(), module.inputs(), model.quantization(), piece));
    }
  }

  /** Of the outputs that the slice has; where it has a share in all of them, one slice adds it. */
  private @Nullable Parameter bias(String name, AdapterLayout.Module module, Piece piece) {
    if (piece.columns().size() < module.inputs() && !part.addsWhatIsWhole()) {
      return null;
    }
    Parameter own = trained.vector(name, piece.rows());
    return own != null
        ? own
        : Parameter.frozen(
            reader.vector(name, module.outputs()).slice(0, piece.rows().from(), piece.rows().to()));
  }

  private @Nullable Lora lora(String linear, AdapterLayout.Module module, Piece piece) {
    Span ranks = new Span(0, adapter.r());
    String nameOfA = AdapterLayout.nameOfA(linear);
    Parameter a = trained.matrix(nameOfA, new Piece(ranks, piece.columns()));
    Parameter b = trained.matrix(AdapterLayout.nameOfB(linear), new Piece(piece.rows(), ranks));
    if (a == null || b == null) {
      return null;
    }
    return new Lora(
        a,
        b,
        adapter.scaling(),
        adapter.loraDropout(),
        trained.place(nameOfA) / 2, // A and B take turns
        piece.columns(),
        module.inputs());
  }
}
