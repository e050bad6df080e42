package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.ftcluster.protocol.job.JobSpec;
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
  private final WeightReader reader;

  private ModelLoader(ModelConfig config, JobSpec.Model model, WeightReader reader) {
    this.config = config;
    this.model = model;
    this.reader = reader;
  }

  /**
   * Loads a model for training, its parameters zeroed: {@link TrainableModel#initialize}, or what a
   * checkpoint holds, comes next. To be called on the thread that will run the model.
   *
   * @param threads of libtorch and of the kernels
   * @throws org.ftcluster.protocol.job.BadJobException when folder and job don't fit each other
   */
  public static CausalLanguageModel load(
      JobSpec.Model model, JobSpec.Adapter adapter, boolean recompute, int threads) {
    ModelConfig config = ModelConfigReader.read(model.path());
    return load(config, FolderTensors.open(model.path()), model, adapter, recompute, threads);
  }

  /** As above without an adapter: for evaluation and generation. */
  public static CausalLanguageModel loadFrozen(JobSpec.Model model, int threads) {
    var none = new JobSpec.Adapter(JobSpec.AdapterType.LORA, 1, 1, 0, List.of(), false, null);
    return load(model, none, false, threads);
  }

  /** A model of that shape with random weights, for measurements. */
  public static CausalLanguageModel loadRandom(
      ModelConfig config,
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      boolean recompute,
      int threads) {
    return load(config, new RandomTensors(), model, adapter, recompute, threads);
  }

  /** A model of that shape for dry runs. */
  static CausalLanguageModel loadHollow(
      ModelConfig config, JobSpec.Model model, JobSpec.Adapter adapter, boolean recompute) {
    return load(config, new HollowTensors(), model, adapter, recompute, 1);
  }

  private static CausalLanguageModel load(
      ModelConfig config,
      BaseTensors source,
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      boolean recompute,
      int threads) {
    Aten.initialize();
    Parallel.setThreads(threads);
    DType computeType =
        switch (model.dtype()) {
          case BFLOAT16 -> DType.BFLOAT16;
          case FLOAT32 -> DType.FLOAT32;
        };
    Scope scope = Scope.persistent();
    AutoCloseable weights =
        () -> {
          scope.close();
          source.close();
        };
    try {
      WeightReader reader = new WeightReader(source, scope, computeType);
      return new ModelLoader(config, model, reader)
          .build(scope, computeType, adapter, recompute, weights);
    } catch (RuntimeException | Error e) {
      scope.close();
      source.close();
      throw e;
    }
  }

  private CausalLanguageModel build(
      Scope scope,
      DType computeType,
      JobSpec.Adapter adapter,
      boolean recompute,
      AutoCloseable weights) {
    boolean tied = config.tiedHead() || !reader.has(BaseLayout.HEAD);
    ParameterBuffer parameters =
        new ParameterBuffer(
            switch (adapter.type()) {
              case LORA -> AdapterLayout.slices(config, adapter);
              case NONE -> BaseLayout.slices(config, tied);
            });
    InitialValues initialValues =
        switch (adapter.type()) {
          case LORA -> AdapterInitializer::fill;
          case NONE -> (values, seed) -> readBase(values);
        };
    TrainedTensors trained = new TrainedTensors(scope, parameters, computeType);
    Adapters adapters = new Adapters(adapter, trained);
    RotaryTable rotary = new RotaryTable(config);
    List<DecoderLayer> layers = new ArrayList<>(config.layers());
    for (int i = 0; i < config.layers(); i++) {
      layers.add(layer(BaseLayout.layer(i), rotary, trained, adapters));
    }
    int vocabulary = config.vocabularySize();
    int hidden = config.hiddenSize();
    Parameter embedding =
        trained.getOr(
            BaseLayout.EMBEDDING, () -> reader.table(BaseLayout.EMBEDDING, vocabulary, hidden));
    String headName = tied ? BaseLayout.EMBEDDING : BaseLayout.HEAD;
    LanguageHead head =
        new LanguageHead(
            norm(BaseLayout.FINAL_NORM, trained),
            trained.getOr(headName, () -> reader.matrix(headName, vocabulary, hidden)));
    return new CausalLanguageModel(
        config,
        computeType,
        embedding,
        layers,
        head,
        parameters,
        trained,
        initialValues,
        recompute,
        Workspace.ofMachine(),
        weights);
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

  private DecoderLayer layer(
      String prefix, RotaryTable rotary, TrainedTensors trained, Adapters adapters) {
    Map<String, Linear> linears = new HashMap<>();
    for (AdapterLayout.Module module : AdapterLayout.modules(config)) {
      linears.put(module.name(), linear(prefix, module, trained, adapters));
    }
    AttentionBlock attention =
        new AttentionBlock(
            config,
            rotary,
            norm(prefix + "input_layernorm.weight", trained),
            linears.get("q_proj"),
            linears.get("k_proj"),
            linears.get("v_proj"),
            linears.get("o_proj"));
    FeedForwardBlock feedForward =
        new FeedForwardBlock(
            norm(prefix + "post_attention_layernorm.weight", trained),
            linears.get("gate_proj"),
            linears.get("up_proj"),
            linears.get("down_proj"));
    return new DecoderLayer(attention, feedForward);
  }

  private Norm norm(String name, TrainedTensors trained) {
    return new Norm(
        trained.getOr(name, () -> reader.vector(name, config.hiddenSize())), config.normEps());
  }

  private Linear linear(
      String prefix, AdapterLayout.Module module, TrainedTensors trained, Adapters adapters) {
    String name = prefix + module.path();
    Parameter bias =
        BaseLayout.hasBias(config, module)
            ? trained.getOr(name + ".bias", () -> reader.vector(name + ".bias", module.outputs()))
            : null;
    Parameter weight = trained.get(name + ".weight");
    return weight != null
        ? Linear.trained(weight, bias)
        : Linear.frozen(
            reader.linear(
                name + ".weight", module.outputs(), module.inputs(), model.quantization()),
            bias,
            adapters.of(name));
  }

  /** Hands out adapters in the order of the layout. */
  private static final class Adapters {
    private final JobSpec.Adapter adapter;
    private final TrainedTensors trained;
    private int count;

    Adapters(JobSpec.Adapter adapter, TrainedTensors trained) {
      this.adapter = adapter;
      this.trained = trained;
    }

    @Nullable Lora of(String linear) {
      Parameter a = trained.get(AdapterLayout.nameOfA(linear));
      Parameter b = trained.get(AdapterLayout.nameOfB(linear));
      if (a == null || b == null) {
        return null;
      }
      return new Lora(a, b, adapter.scaling(), adapter.loraDropout(), count++);
    }
  }
}
