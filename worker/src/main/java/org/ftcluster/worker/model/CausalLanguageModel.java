package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntFunction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * Embedding, decoder layers, head: a frozen model with adapters, or one that is trained as a whole;
 * forward and backward. Or a part of one, which only runs together with the others.
 */
public final class CausalLanguageModel implements TrainableModel {
  private final ModelConfig config;
  private final LoadedPart part;
  private final InitialValues initialValues;
  private final Workspace workspace;
  private final TensorGroup slices;
  private final AutoCloseable weights;

  /**
   * @param config of the whole model
   * @param weights closed with the model
   */
  CausalLanguageModel(
      ModelConfig config,
      LoadedPart part,
      InitialValues initialValues,
      Workspace workspace,
      TensorGroup slices,
      AutoCloseable weights) {
    this.config = config;
    this.part = part;
    this.initialValues = initialValues;
    this.workspace = workspace;
    this.slices = slices;
    this.weights = weights;
  }

  public ModelConfig config() {
    return config;
  }

  /**
   * Connects the ranks that hold the slices of this part's layers, and those that hold other shares
   * of them, for a generation: a slice runs together with the others, and so does a share.
   *
   * @param group one rank a slice, in their order
   * @param copies one rank a share, in their order; not looked at where there are none
   * @param timeout for each of their exchanges
   */
  public void connect(Communicator group, Communicator copies, Duration timeout) {
    slices.connect(group, timeout);
    part.supply().connect(copies, timeout);
  }

  /**
   * Connects the ranks that hold the shares of what is trained, for a generation, where they do.
   *
   * @param ranks one a share, in their order
   * @param stages the ranks that hold the same of the model's other parts, by stage
   * @param shares this rank's values, float32, by {@link ParameterUnit}; asked for whenever one is
   *     needed
   * @param timeout for each of their exchanges
   */
  public void connectTrained(
      Communicator ranks,
      Communicator stages,
      IntFunction<MemorySegment> shares,
      Duration timeout) {
    part.supply().connectTrained(ranks, stages, shares, timeout);
  }

  /**
   * To be called, by all stages, before the first pass after {@link #parametersChanged} of a part
   * whose other parts are elsewhere.
   */
  public void beforePasses() {
    part.supply().beforePasses();
  }

  @Override
  public ParameterBuffer parameters() {
    return part.parameters();
  }

  /** Those of the trained tensors that this part, or another slice of it, leaves gradients of. */
  public List<ParameterBuffer.Slice> trained() {
    return part.place().trained(part.parameters().slices());
  }

  @Override
  public void parametersChanged() {
    part.trained().changed();
  }

  @Override
  public void initialize(long seed) {
    initialValues.write(part.parameters(), seed);
    part.trained().changed();
  }

  @Override
  public long weightBytes() {
    return frozenBytes() + trainedCopyBytes();
  }

  @Override
  public long peakActivationBytes() {
    return workspace.peakBytes();
  }

  /** Bytes that the frozen weights take: of the linear layers as they are held, and the tables. */
  long frozenBytes() {
    return part.frozenBytes();
  }

  /** Bytes of frozen weights that lie on a disk. */
  long filedBytes() {
    LayerWindow window = part.supply().window();
    return window == null ? 0 : window.filedBytes();
  }

  /** Bytes of activations that a batch has had on a disk. */
  long filedActivationBytes() {
    return part.activations() == null ? 0 : part.activations().filedBytes();
  }

  /** Bytes of the copies of what is trained, in the type that products are computed in. */
  long trainedCopyBytes() {
    return part.trained().copyBytes();
  }

  /** Room for activations of batches that go through this part beside each other. */
  public Workspace newWorkspace() {
    return workspace.another();
  }

  /**
   * A batch that goes through this part of the model, whose other parts are elsewhere.
   *
   * @param memory of its own, until the pass is closed
   * @param batch some of whose tokens carry a loss
   */
  public BatchPass beginTraining(Workspace memory, TokenBatch batch, long dropoutSeed) {
    return BatchPass.training(part, memory, batch, dropoutSeed);
  }

  /**
   * As {@link #beginTraining}, forward only and without dropout.
   *
   * @param adapted false for the base alone
   */
  public BatchPass beginEvaluating(Workspace memory, TokenBatch batch, boolean adapted) {
    return BatchPass.evaluating(part, memory, batch, adapted);
  }

  /**
   * Activation memory at its fullest, in bytes, of a part that holds several batches between their
   * forward and their backward. For dry runs: what a part would get from others is left out.
   *
   * @param inFlight batches that it trains on at once
   * @param evaluatedInFlight that it evaluates at once, as far as {@code inFlight} goes
   */
  long activationBytes(
      TokenBatch trained, TokenBatch evaluated, int inFlight, int evaluatedInFlight) {
    long bytes = 0;
    for (int i = 0; i < inFlight; i++) {
      try (Workspace memory = workspace.another()) {
        try (BatchPass pass = beginTraining(memory, trained, 0)) {
          pass.forward();
          if (i == 0) {
            pass.backward(1);
          }
        }
        if (i < evaluatedInFlight && evaluated.targetCount() > 0) {
          try (BatchPass pass = beginEvaluating(memory, evaluated, true)) {
            pass.forward();
            if (part.place().isLast()) {
              pass.losses();
            }
          }
        }
        bytes += memory.peakBytes();
      }
    }
    return bytes;
  }

  @Override
  public double forwardBackward(TokenBatch batch, double lossScale, long dropoutSeed) {
    return forwardBackward(batch, lossScale, dropoutSeed, GradientListener.NONE);
  }

  @Override
  public double forwardBackward(
      TokenBatch batch, double lossScale, long dropoutSeed, GradientListener listener) {
    if (batch.targetCount() == 0) {
      if (part.supply().gathered() == null) {
        part.trained().clearGradients();
        part.trained().gradientsDone(listener);
      }
      accompany(true, listener);
      return 0;
    }
    try (BatchPass pass = BatchPass.training(part, workspace, batch, dropoutSeed)) {
      pass.forward();
      return pass.backward(lossScale, listener);
    }
  }

  @Override
  public double[] losses(TokenBatch batch, boolean adapted) {
    int sequences = batch.lengths().length;
    if (batch.targetCount() == 0) {
      accompany(false, GradientListener.NONE);
      return new double[sequences];
    }
    try (BatchPass pass = BatchPass.evaluating(part, workspace, batch, adapted)) {
      pass.forward();
      return Arrays.copyOf(pass.losses(), sequences);
    }
  }

  @Override
  public void accompany(boolean training, GradientListener listener) {
    accompanyForward(training);
    if (training) {
      accompanyBackward(listener);
    }
  }

  /**
   * {@link #accompany} as far as the other copies' forward goes.
   *
   * @param training whether their backward follows
   */
  public void accompanyForward(boolean training) {
    part.supply().accompanyForward(training);
  }

  /** {@link #accompany} as far as the other copies' backward goes. */
  public void accompanyBackward(GradientListener listener) {
    part.supply().accompanyBackward(listener);
  }

  /**
   * The logits of chosen rows, in Java: [row][V].
   *
   * @param rows of the batch's tokens
   * @param observer sees what each layer made, before it is dropped; or null
   */
  float[][] logits(TokenBatch sequences, int[] rows, @Nullable LayerObserver observer) {
    try (BatchPass pass = BatchPass.looking(part, workspace, sequences, rows, observer)) {
      pass.forward();
      try (Scope scope = workspace.open()) {
        return readLogits(scope, pass.output());
      }
    }
  }

  /** Room for sequences of these lengths, and for {@code room} more tokens each. */
  KeyValueCache newCache(int[] lengths, int room) {
    return new KeyValueCache(config, part.computeType(), lengths, room, workspace.accelerator());
  }

  /** One more token for each of the sequences in {@code cache}: [sequence][V]. */
  float[][] decode(int[] tokens, KeyValueCache cache) {
    try (Scope base = workspace.open()) {
      Tensor x = base.empty(part.computeType(), tokens.length, config.hiddenSize());
      part.embedding().forward(workspace, x, tokens);
      for (int i = 0; i < part.layers().size(); i++) {
        part.layers().get(i).decode(workspace, x, cache, i);
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
    Tensor logits = scope.empty(part.computeType(), x.size(0), vocabulary);
    part.head().logits(workspace, logits, x);
    float[] all = logits.toFloats();
    float[][] rows = new float[Math.toIntExact(x.size(0))][];
    Arrays.setAll(rows, i -> Arrays.copyOfRange(all, i * vocabulary, (i + 1) * vocabulary));
    return rows;
  }

  @Override
  public void close() {
    workspace.close();
    try {
      weights.close();
    } catch (Exception e) {
      throw new IllegalStateException("the model's weights can't be closed", e);
    }
  }
}
