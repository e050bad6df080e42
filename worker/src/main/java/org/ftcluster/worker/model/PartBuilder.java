package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.quantization.Weight;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * Puts the layers of a part together, from frozen weights that are read and from what is trained;
 * each of them no more than the part has of it.
 */
final class PartBuilder {
  private final ModelConfig config;
  private final JobSpec.Model model;
  private final JobSpec.Adapter adapter;
  private final ModelPart part;
  private final WeightReader reader;
  private final TrainedTensors trained;
  private final TensorGroup slices;
  private final RotaryTable rotary;
  private final @Nullable LayerWindow window;
  private final @Nullable OffloadedActivations activations;
  private final @Nullable GatheredParameters gathered;

  PartBuilder(
      ModelConfig config,
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      ModelPart part,
      WeightReader reader,
      TrainedTensors trained,
      @Nullable LayerWindow window,
      @Nullable OffloadedActivations activations,
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
   * Reads what is frozen.
   *
   * @param tied whether the head is the embedding
   * @param weights closed with the model
   */
  CausalLanguageModel build(
      boolean tied,
      DType computeType,
      MemorySavings savings,
      Workspace workspace,
      AutoCloseable weights) {
    InitialValues initialValues =
        switch (adapter.type()) {
          case LORA -> AdapterInitializer::fill;
          case NONE -> (values, seed) -> reader.values(values.slices()).copy(0, values.values());
        };
    List<DecoderLayer> layers = new ArrayList<>(part.layers().size());
    for (int i = part.layers().from(); i < part.layers().to(); i++) {
      layers.add(layer(BaseLayout.layer(i)));
    }
    Embedding embedding = part.isFirst() ? embedding() : null;
    Parameter table = tied && embedding != null ? embedding.table() : null;
    LoadedPart loaded =
        new LoadedPart(
            part,
            config.hiddenSize(),
            computeType,
            embedding,
            layers,
            part.isLast() ? head(tied, table, computeType) : null,
            trained,
            new WeightSupply(window, gathered),
            activations,
            savings);
    return new CausalLanguageModel(config, loaded, initialValues, workspace, slices, weights);
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

  /**
   * @param table of an embedding that is here, and the head, too; else null
   */
  private LanguageHead head(boolean tied, @Nullable Parameter table, DType computeType) {
    Piece piece = vocabularyPiece();
    return new LanguageHead(
        norm(BaseLayout.FINAL_NORM, config.hiddenSize()),
        table != null && table.value().dtype() == computeType
            ? table
            : headWeight(tied ? BaseLayout.EMBEDDING : BaseLayout.HEAD, piece),
        new TargetLoss(piece.rows(), slices, part.slices() > 1),
        slices);
  }

  private Parameter headWeight(String name, Piece piece) {
    Parameter own = trained.matrix(name, piece);
    return own != null
        ? own
        : Parameter.frozen(
            reader.matrix(name, config.vocabularySize(), config.hiddenSize(), piece));
  }

  private Piece vocabularyPiece() {
    return Piece.whole(config.vocabularySize(), config.hiddenSize())
        .withRows(part.vocabulary(config));
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
            norm(prefix + BaseLayout.INPUT_NORM, config.hiddenSize()),
            linears.get("q_proj"),
            linears.get("k_proj"),
            linears.get("v_proj"),
            headNorms(prefix),
            linears.get("o_proj"),
            slices);
    FeedForwardBlock feedForward =
        new FeedForwardBlock(
            norm(prefix + BaseLayout.FEED_FORWARD_NORM, config.hiddenSize()),
            linears.get("gate_proj"),
            linears.get("up_proj"),
            linears.get("down_proj"),
            slices);
    return new DecoderLayer(attention, feedForward);
  }

  /** All of them in every slice: heads share them. */
  private @Nullable HeadNorms headNorms(String prefix) {
    return config.headNorms()
        ? new HeadNorms(
            norm(prefix + BaseLayout.QUERY_NORM, config.headSize()),
            norm(prefix + BaseLayout.KEY_NORM, config.headSize()))
        : null;
  }

  private Norm norm(String name, int size) {
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
