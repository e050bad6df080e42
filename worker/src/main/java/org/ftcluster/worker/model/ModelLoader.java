package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.ftcluster.worker.tensor.kernel.Parallel;
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
   * Loads a model for training, its adapter zeroed: {@link TrainableModel#parameters} are to be
   * filled next. To be called on the thread that will run the model.
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

  private static CausalLanguageModel load(
      ModelConfig config,
      BaseTensors source,
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      boolean recompute,
      int threads) {
    Aten.initialize();
    Aten.setThreads(threads);
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
    Set<AdapterLayout.Module> targets = AdapterLayout.targets(config, adapter.targetModules());
    ParameterBuffer parameters =
        new ParameterBuffer(AdapterLayout.slices(config, targets, adapter));
    Adapters adapters = new Adapters(scope, computeType, adapter, parameters, targets);
    RotaryTable rotary = new RotaryTable(config);
    List<DecoderLayer> layers = new ArrayList<>(config.layers());
    for (int i = 0; i < config.layers(); i++) {
      layers.add(layer("model.layers.%d.".formatted(i), rotary, adapters));
    }
    int vocabulary = config.vocabularySize();
    int hidden = config.hiddenSize();
    String embeddingName = "model.embed_tokens.weight";
    Tensor embedding = reader.table(embeddingName, vocabulary, hidden);
    boolean tied = config.tiedHead() || !reader.has("lm_head.weight");
    LanguageHead head =
        new LanguageHead(
            config,
            reader.vector("model.norm.weight", hidden),
            reader.matrix(tied ? embeddingName : "lm_head.weight", vocabulary, hidden));
    return new CausalLanguageModel(
        config,
        computeType,
        embedding,
        layers,
        head,
        parameters,
        recompute,
        Workspace.ofMachine(),
        weights);
  }

  private DecoderLayer layer(String prefix, RotaryTable rotary, Adapters adapters) {
    Map<String, LoraLinear> linears = new HashMap<>();
    for (AdapterLayout.Module module : AdapterLayout.modules(config)) {
      linears.put(module.name(), linear(prefix, module, adapters.next(module)));
    }
    int hidden = config.hiddenSize();
    AttentionBlock attention =
        new AttentionBlock(
            config,
            rotary,
            reader.vector(prefix + "input_layernorm.weight", hidden),
            linears.get("q_proj"),
            linears.get("k_proj"),
            linears.get("v_proj"),
            linears.get("o_proj"));
    FeedForwardBlock feedForward =
        new FeedForwardBlock(
            config,
            reader.vector(prefix + "post_attention_layernorm.weight", hidden),
            linears.get("gate_proj"),
            linears.get("up_proj"),
            linears.get("down_proj"));
    return new DecoderLayer(attention, feedForward);
  }

  private LoraLinear linear(String prefix, AdapterLayout.Module module, @Nullable Lora lora) {
    String name = prefix + module.path();
    boolean hasBias =
        switch (module.name()) {
          case "q_proj", "k_proj", "v_proj" -> config.qkvBias();
          case "o_proj" -> config.outputBias();
          default -> config.mlpBias();
        };
    return new LoraLinear(
        reader.linear(name + ".weight", module.outputs(), module.inputs(), model.quantization()),
        hasBias ? reader.vector(name + ".bias", module.outputs()) : null,
        lora);
  }

  /** Hands out adapters in the order of the layout. */
  private static final class Adapters {
    private final Scope scope;
    private final DType computeType;
    private final JobSpec.Adapter adapter;
    private final ParameterBuffer parameters;
    private final Set<AdapterLayout.Module> targets;
    private int count;

    Adapters(
        Scope scope,
        DType computeType,
        JobSpec.Adapter adapter,
        ParameterBuffer parameters,
        Set<AdapterLayout.Module> targets) {
      this.scope = scope;
      this.computeType = computeType;
      this.adapter = adapter;
      this.parameters = parameters;
      this.targets = targets;
    }

    @Nullable Lora next(AdapterLayout.Module module) {
      if (!targets.contains(module)) {
        return null;
      }
      int index = count++;
      return new Lora(
          scope,
          parameters,
          2 * index,
          computeType,
          adapter.scaling(),
          adapter.loraDropout(),
          index);
    }
  }
}
