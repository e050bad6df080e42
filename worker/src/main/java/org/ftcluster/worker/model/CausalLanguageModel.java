package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * Embedding, decoder layers, head: a frozen model with adapters, or one that is trained as a whole;
 * forward and backward.
 *
 * <p>Each layer keeps what its backward needs in a frame of the workspace, and frames close in the
 * order in which the backward runs. With recomputation a layer keeps its output only, and runs its
 * forward again first.
 */
public final class CausalLanguageModel implements TrainableModel {
  /** Rows of activations come in multiples of this, see {@link TokenBatch#padded}. */
  private static final int ROW_MULTIPLE = 64;

  private final ModelConfig config;
  private final DType computeType;
  private final Parameter embedding;
  private final List<DecoderLayer> layers;
  private final LanguageHead head;
  private final ParameterBuffer parameters;
  private final TrainedTensors trained;
  private final InitialValues initialValues;
  private final boolean recompute;
  private final Workspace workspace;
  private final AutoCloseable weights;

  /**
   * @param embedding [V, D], of any floating-point type
   * @param recompute whether layers run their forward again in the backward, instead of keeping
   *     what it needs
   * @param weights closed with the model
   */
  CausalLanguageModel(
      ModelConfig config,
      DType computeType,
      Parameter embedding,
      List<DecoderLayer> layers,
      LanguageHead head,
      ParameterBuffer parameters,
      TrainedTensors trained,
      InitialValues initialValues,
      boolean recompute,
      Workspace workspace,
      AutoCloseable weights) {
    this.config = config;
    this.computeType = computeType;
    this.embedding = embedding;
    this.layers = List.copyOf(layers);
    this.head = head;
    this.parameters = parameters;
    this.trained = trained;
    this.initialValues = initialValues;
    this.recompute = recompute;
    this.workspace = workspace;
    this.weights = weights;
  }

  public ModelConfig config() {
    return config;
  }

  @Override
  public ParameterBuffer parameters() {
    return parameters;
  }

  @Override
  public void parametersChanged() {
    trained.changed();
  }

  @Override
  public void initialize(long seed) {
    initialValues.write(parameters, seed);
    trained.changed();
  }

  /** The most activation memory that was in use at once, in bytes. */
  public long peakWorkspaceBytes() {
    return workspace.peakBytes();
  }

  /** Bytes that the frozen weights take: of the linear layers as they are held, and the tables. */
  long frozenBytes() {
    long bytes = head.weight().frozenBytes();
    if (!config.tiedHead()) {
      bytes += embedding.frozenBytes();
    }
    for (DecoderLayer layer : layers) {
      for (Linear linear : layer.linears()) {
        bytes += linear.frozenBytes();
      }
    }
    return bytes;
  }

  /** Bytes of the copies of what is trained, in the type that products are computed in. */
  long trainedCopyBytes() {
    return trained.copyBytes();
  }

  @Override
  public double forwardBackward(TokenBatch sequences, double lossScale, long dropoutSeed) {
    TokenBatch batch = sequences.padded(ROW_MULTIPLE);
    Pass pass = Pass.of(workspace, batch, true, dropoutSeed);
    int[] rows = batch.lossRows(ROW_MULTIPLE);
    if (rows.length == 0) {
      parameters.gradients().fill((byte) 0);
      return 0;
    }
    try (Scope base = workspace.open()) {
      Tensor dy = base.empty(computeType, rows.length, config.hiddenSize());
      Tensor dx = base.empty(computeType, pass.tokens(), config.hiddenSize());
      List<Frame> frames = new ArrayList<>(layers.size());
      try {
        Tensor x = embed(base, batch);
        for (int i = 0; i < layers.size(); i++) {
          Frame frame = forward(pass, i, x, rows);
          frames.add(frame);
          x = frame.output();
        }
        startSums();
        double loss = head.loss(workspace, dy, x, targets(batch, rows), lossScale);
        dx.clear();
        for (int i = layers.size() - 1; i >= 0; i--) {
          Tensor gradient = i == layers.size() - 1 ? dy : dx;
          backward(pass, i, dx, gradient, frames.get(i), rows);
          frames.removeLast().scope().close();
        }
        if (embedding.isTrained()) {
          RowOps.scatterAdd(embedding.gradient(), dx, batch.tokens());
        }
        return loss;
      } finally {
        frames.reversed().forEach(frame -> frame.scope().close());
      }
    }
  }

  @Override
  public double lossSum(TokenBatch sequences) {
    TokenBatch batch = sequences.padded(ROW_MULTIPLE);
    int[] rows = batch.lossRows(ROW_MULTIPLE);
    if (rows.length == 0) {
      return 0;
    }
    Pass pass = Pass.of(workspace, batch, false, 0);
    try (Scope base = workspace.open()) {
      Tensor x = hidden(pass, base, batch, rows, null);
      return head.loss(workspace, null, x, targets(batch, rows), 0);
    }
  }

  /**
   * The logits of chosen rows, in Java: [row][V].
   *
   * @param rows of the batch's tokens
   * @param observer sees what each layer made, before it is dropped; or null
   */
  float[][] logits(TokenBatch sequences, int[] rows, @Nullable LayerObserver observer) {
    TokenBatch batch = sequences.padded(ROW_MULTIPLE);
    Pass pass = Pass.of(workspace, batch, false, 0);
    try (Scope base = workspace.open()) {
      Tensor x = hidden(pass, base, batch, rows, observer);
      return readLogits(base, x);
    }
  }

  /** Room for sequences of these lengths, and for {@code room} more tokens each. */
  KeyValueCache newCache(int[] lengths, int room) {
    return new KeyValueCache(config, computeType, lengths, room);
  }

  /** One more token for each of the sequences in {@code cache}: [sequence][V]. */
  float[][] decode(int[] tokens, KeyValueCache cache) {
    try (Scope base = workspace.open()) {
      Tensor x = base.empty(computeType, tokens.length, config.hiddenSize());
      RowOps.gather(x, embedding.value(), tokens);
      for (int i = 0; i < layers.size(); i++) {
        layers.get(i).decode(workspace, x, cache, i);
      }
      cache.advance();
      return readLogits(base, x);
    }
  }

  /** Sees keys and values of a layer, [T, K C] each. */
  @FunctionalInterface
  interface LayerObserver {
    void layer(int index, Tensor keys, Tensor values);
  }

  private float[][] readLogits(Scope scope, Tensor x) {
    int vocabulary = config.vocabularySize();
    Tensor logits = scope.empty(computeType, x.size(0), vocabulary);
    head.logits(workspace, logits, x);
    float[][] rows = new float[Math.toIntExact(x.size(0))][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = logits.slice(0, i, i + 1).toFloats();
    }
    return rows;
  }

  /** Gradients that are summed in several places begin at zero; all others are overwritten. */
  private void startSums() {
    for (Parameter summed : List.of(embedding, head.weight())) {
      if (summed.isTrained()) {
        summed.gradient().clear();
      }
    }
  }

  /** The last layer's output for {@code rows}, nothing else kept. */
  private Tensor hidden(
      Pass pass, Scope base, TokenBatch batch, int[] rows, @Nullable LayerObserver observer) {
    Tensor x = embed(base, batch);
    Tensor other = base.empty(computeType, x.shape());
    Tensor last = base.empty(computeType, rows.length, config.hiddenSize());
    for (int i = 0; i < layers.size(); i++) {
      boolean isLast = i == layers.size() - 1;
      Tensor y = isLast ? last : other;
      try (Scope temporary = workspace.open()) {
        DecoderLayer.Saved saved =
            layers.get(i).forward(pass, temporary, y, x, isLast ? rows : null);
        if (observer != null) {
          observer.layer(i, saved.attention().k(), saved.attention().v());
        }
      }
      other = x;
      x = y;
    }
    return last;
  }

  /**
   * @param saved null where the layer is to be computed again
   */
  private record Frame(
      Scope scope, Tensor input, Tensor output, DecoderLayer.@Nullable Saved saved) {}

  private Frame forward(Pass pass, int layer, Tensor x, int[] rows) {
    boolean isLast = layer == layers.size() - 1;
    Scope scope = workspace.open();
    Tensor y = scope.empty(computeType, isLast ? rows.length : pass.tokens(), config.hiddenSize());
    if (!recompute) {
      return new Frame(scope, x, y, run(pass, layer, scope, y, x, rows));
    }
    try (Scope temporary = workspace.open()) {
      run(pass, layer, temporary, y, x, rows);
    }
    return new Frame(scope, x, y, null);
  }

  private void backward(Pass pass, int layer, Tensor dx, Tensor dy, Frame frame, int[] rows) {
    boolean wantInput = layer > 0 || embedding.isTrained();
    if (frame.saved() != null) {
      layers.get(layer).backward(pass, dx, dy, frame.saved(), wantInput);
      return;
    }
    try (Scope temporary = workspace.open()) {
      DecoderLayer.Saved saved = run(pass, layer, temporary, frame.output(), frame.input(), rows);
      layers.get(layer).backward(pass, dx, dy, saved, wantInput);
    }
  }

  private DecoderLayer.Saved run(
      Pass pass, int layer, Scope scope, Tensor y, Tensor x, int[] rows) {
    boolean isLast = layer == layers.size() - 1;
    return layers.get(layer).forward(pass, scope, y, x, isLast ? rows : null);
  }

  private Tensor embed(Scope scope, TokenBatch batch) {
    Tensor x = scope.empty(computeType, batch.tokenCount(), config.hiddenSize());
    RowOps.gather(x, embedding.value(), batch.tokens());
    return x;
  }

  private static int[] targets(TokenBatch batch, int[] rows) {
    int[] targets = new int[rows.length];
    for (int i = 0; i < rows.length; i++) {
      targets[i] = batch.targets()[rows[i]];
    }
    return targets;
  }

  @Override
  public void close() {
    workspace.close();
    parameters.close();
    try {
      weights.close();
    } catch (Exception e) {
      throw new IllegalStateException("the model's weights can't be closed", e);
    }
  }
}
