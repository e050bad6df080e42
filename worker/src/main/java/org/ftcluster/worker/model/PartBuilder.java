package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.model.Projection.Kind;
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
  private final Map<ModelConfig.Rotary, RotaryTable> rotaries = new HashMap<>();
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
      layers.add(layer(config.ofLayer(i), BaseLayout.layer(i)));
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
    return new Embedding(table, config.embeddingScale(), piece.rows(), slices);
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
        config.logitCap(),
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

  private DecoderLayer layer(ModelConfig own, String prefix) {
    if (window != null) {
      window.newLayer();
    }
    Map<Kind, Linear> linears = new EnumMap<>(Kind.class);
    for (AdapterLayout.Module module : AdapterLayout.modules(config)) {
      linears.putAll(linears(prefix, module));
    }
    AttentionBlock attention =
        new AttentionBlock(
            part.sliced(own),
            rotaries.computeIfAbsent(own.rotary(), RotaryTable::new),
            norm(prefix + BaseLayout.INPUT_NORM, config.hiddenSize()),
            linears.get(Kind.QUERY),
            linears.get(Kind.KEY),
            linears.get(Kind.VALUE),
            headNorms(prefix),
            linears.get(Kind.OUTPUT),
            outputNorm(prefix + BaseLayout.ATTENTION_OUTPUT_NORM),
            slices);
    FeedForwardBlock feedForward =
        new FeedForwardBlock(
            norm(prefix + BaseLayout.feedForwardNorm(config), config.hiddenSize()),
            linears.get(Kind.GATE),
            linears.get(Kind.UP),
            linears.get(Kind.DOWN),
            config.activation(),
            outputNorm(prefix + BaseLayout.FEED_FORWARD_OUTPUT_NORM),
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

  private OutputNorm outputNorm(String name) {
    return new OutputNorm(config.outputNorms() ? norm(name, config.hiddenSize()) : null);
  }

  private Norm norm(String name, int size) {
    Parameter own = trained.vector(name, new Span(0, size));
    return new Norm(
        own != null ? own : Parameter.frozen(reader.vector(name, size)),
        config.normOffset(),
        config.normEps());
  }

  /** The projections of a module. */
  private Map<Kind, Linear> linears(String prefix, AdapterLayout.Module module) {
    String name = prefix + module.path();
    List<Projection> projections = Projection.of(config, module);
    List<Piece> pieces = projections.stream().map(each -> part.piece(config, each)).toList();
    List<Weight> frozen =
        trained.place(name + ".weight") < 0 ? frozen(name + ".weight", module, pieces) : List.of();
    Map<Kind, Linear> linears = new EnumMap<>(Kind.class);
    for (int i = 0; i < projections.size(); i++) {
      Projection projection = projections.get(i);
      Piece piece = pieces.get(i);
      Parameter bias =
          BaseLayout.hasBias(config, module) ? bias(name + ".bias", module, piece) : null;
      Parameter weight = trained.matrix(name + ".weight", piece);
      linears.put(
          projection.kind(),
          weight != null
              ? Linear.trained(weight, bias)
              : Linear.frozen(frozen.get(i), bias, lora(name, projection, piece)));
    }
    return linears;
  }

  private List<Weight> frozen(String name, AdapterLayout.Module module, List<Piece> pieces) {
    if (window == null) {
      return reader.linears(name, module.outputs(), module.inputs(), model.quantization(), pieces);
    }
    try (Scope temporary = Scope.persistent()) {
      return reader
          .into(temporary)
          .linears(name, module.outputs(), module.inputs(), model.quantization(), pieces)
          .stream()
          .map(window::keep)
          .toList();
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

  private @Nullable Lora lora(String linear, Projection projection, Piece piece) {
    Span ranks = new Span(0, adapter.r());
    String nameOfA = AdapterLayout.nameOfA(config, linear);
    Parameter a = trained.matrix(nameOfA, new Piece(ranks, piece.columns()));
    Parameter b =
        trained.matrix(AdapterLayout.nameOfB(config, linear), new Piece(piece.rows(), ranks));
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
        projection.module().inputs(),
        projection.isFirst());
  }
}
