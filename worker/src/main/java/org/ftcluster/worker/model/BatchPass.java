package org.ftcluster.worker.model;

import org.ftcluster.worker.model.CausalLanguageModel.LayerObserver;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * One batch on its way through a part of a model: {@link #forward}, then {@link #backward} or
 * {@link #losses}, then {@link #close}. Where the part isn't the first, {@link #input} is to be
 * filled before the forward; where it isn't the last, {@link #gradient} before the backward, which
 * leaves there what the part before wants.
 *
 * <p>What layers keep meanwhile is in {@link LayerFrames}.
 */
public final class BatchPass implements AutoCloseable {
  /** See {@link TokenBatch#padded}. */
  private static final int ROW_MULTIPLE = 64;

  private enum Purpose {
    TRAINING,
    EVALUATING,
    LOOKING
  }

  private final LoadedPart part;
  private final TokenBatch batch;
  private final Pass pass;
  private final BatchLayers layers;
  private final LayerFrames frames;
  private final Purpose purpose;
  private final @Nullable LayerObserver observer;
  private final Scope base;
  private final Tensor input;

  /** Of the rows that carry a loss; null where the part isn't the last, or nothing is learned. */
  private final @Nullable Tensor lossGradient;

  private final @Nullable Tensor gradient;
  private Tensor output;

  private BatchPass(
      LoadedPart part,
      TokenBatch batch,
      Pass pass,
      int[] lossRows,
      Purpose purpose,
      @Nullable LayerObserver observer) {
    this.part = part;
    this.batch = batch;
    this.pass = pass;
    int[] rows = part.place().isLast() ? lossRows : null;
    this.layers = new BatchLayers(part, pass, rows);
    this.purpose = purpose;
    this.observer = observer;
    boolean training = purpose == Purpose.TRAINING;
    this.frames = new LayerFrames(layers, training ? part.activations() : null);
    this.base = pass.workspace().open();
    this.lossGradient = training && rows != null ? layers.newTensor(base, rows.length) : null;
    this.gradient = training ? layers.newTensor(base, pass.tokens()) : null;
    this.input = layers.newTensor(base, pass.tokens());
    this.output = input;
  }

  /** Rows of activations come in multiples of this, so that all slices have equally many. */
  private static int rowMultiple(LoadedPart part) {
    int slices = part.place().slices();
    return ROW_MULTIPLE % slices == 0 ? ROW_MULTIPLE : ROW_MULTIPLE * slices;
  }

  /** For {@link #backward}; some token of the batch carries a loss. */
  static BatchPass training(
      LoadedPart part, Workspace workspace, TokenBatch sequences, long dropoutSeed) {
    int multiple = rowMultiple(part);
    TokenBatch batch = sequences.padded(multiple);
    Pass pass = Pass.of(workspace, batch, true, dropoutSeed);
    int[] rows = batch.lossRows(multiple);
    return new BatchPass(part, batch, pass, rows, Purpose.TRAINING, null);
  }

  /**
   * For {@link #losses}; some token of the batch carries one.
   *
   * @param adapted false for the base alone
   */
  static BatchPass evaluating(
      LoadedPart part, Workspace workspace, TokenBatch sequences, boolean adapted) {
    int multiple = rowMultiple(part);
    TokenBatch batch = sequences.padded(multiple);
    Pass pass = Pass.of(workspace, batch, false, 0);
    int[] rows = batch.lossRows(multiple);
    return new BatchPass(
        part, batch, adapted ? pass : pass.withoutAdapters(), rows, Purpose.EVALUATING, null);
  }

  /**
   * For {@link #output}.
   *
   * @param rows of the batch's tokens whose output is wanted
   * @param observer sees what each layer made, before it is dropped; or null
   */
  static BatchPass looking(
      LoadedPart part,
      Workspace workspace,
      TokenBatch sequences,
      int[] rows,
      @Nullable LayerObserver observer) {
    TokenBatch batch = sequences.padded(ROW_MULTIPLE);
    Pass pass = Pass.of(workspace, batch, false, 0);
    return new BatchPass(part, batch, pass, rows, Purpose.LOOKING, observer);
  }

  /** What comes from the part before: [T, D], contiguous; of a slice its own rows. */
  public Tensor input() {
    return input;
  }

  /**
   * What goes to the part after: [T, D], contiguous; of the last part, of the rows wanted; of a
   * slice its own rows of these.
   */
  public Tensor output() {
    return output;
  }

  /**
   * The gradient of {@link #output}, which comes from the part after, and once the backward is done
   * that of {@link #input}: [T, D], contiguous; of a slice its own rows.
   */
  public Tensor gradient() {
    if (gradient == null) {
      throw new IllegalStateException("only training has gradients");
    }
    return gradient;
  }

  /** Leaves {@link #output}. */
  public void forward() {
    if (part.place().isFirst()) {
      part.supply().beforeEmbedding();
      part.embedding().forward(pass.workspace(), input, batch.tokens());
      part.supply().afterEmbedding();
    }
    if (purpose == Purpose.TRAINING) {
      for (int i = 0; i < layers.count(); i++) {
        part.supply().beforeForward(i, true);
        output = frames.forward(i, output);
      }
    } else {
      forwardOnly();
    }
  }

  /**
   * Overwrites all of the parameters' gradients with this batch's, as far as they are this part's;
   * others become zero.
   *
   * @param lossScale factor on what the losses come to
   * @return what that is, without the factor: their sum, or that of the pairs' losses; 0 where the
   *     part isn't the last
   */
  public double backward(double lossScale) {
    return backward(lossScale, GradientListener.NONE);
  }

  /**
   * The same.
   *
   * @param listener hears, after each layer, which gradients are complete
   */
  public double backward(double lossScale, GradientListener listener) {
    boolean brought = part.trained().areToBeBrought(listener);
    double loss = throughLayers(lossScale, brought ? GradientListener.NONE : listener);
    part.trained().gradientsDone(listener);
    return loss;
  }

  private double throughLayers(double lossScale, GradientListener listener) {
    Tensor dx = gradient();
    Tensor dy = dx;
    double loss = 0;
    startGradients();
    if (lossGradient != null) {
      dy = lossGradient;
      part.supply().beforeHead(true);
      loss = part.head().backward(pass.workspace(), dy, output, targets(), pairs(), lossScale);
      part.supply().afterHead(listener);
      dx.clear();
    }
    for (int i = layers.count() - 1; i >= 0; i--) {
      part.supply().beforeBackward(i);
      frames.backward(i, dx, dy);
      dy = dx;
      part.supply().afterBackward(i, listener);
      listener.complete(part.firstParameter(i));
    }
    if (part.place().isFirst() && part.embedding().table().isTrained()) {
      part.supply().beforeEmbeddingBackward();
      part.embedding().backward(pass.workspace(), dx, batch.tokens());
      part.supply().afterEmbeddingBackward(listener);
    }
    return loss;
  }

  /** The sum of each sequence's losses; where the batch was padded there is one more. */
  public double[] losses() {
    part.supply().beforeHead(false);
    int[] targets = targets();
    float[] losses = part.head().losses(pass.workspace(), output, targets);
    return new SequenceRows(batch, rows()).sums(losses);
  }

  /** Gradients that are summed in several places, or are other parts', begin at zero. */
  private void startGradients() {
    if (part.supply().gathered() != null) {
      return; // those of each unit when its turn comes
    }
    if (!part.place().isWhole()) {
      part.trained().clearGradients();
      return;
    }
    if (part.firstEmbedding() != null) {
      part.firstEmbedding().table().clearGradient();
    }
    if (part.lastHead() != null) {
      part.lastHead().weight().clearGradient();
    }
  }

  private void forwardOnly() {
    int last = layers.count() - 1;
    Tensor other = layers.newTensor(base, pass.tokens());
    Tensor wanted = layers.newOutput(base, last);
    for (int i = 0; i <= last; i++) {
      part.supply().beforeForward(i, false);
      Tensor y = i == last ? wanted : other;
      try (Scope temporary = pass.workspace().open()) {
        DecoderLayer.Saved saved = layers.forward(i, temporary, y, output);
        if (observer != null) {
          QueryKeyValue heads = saved.attention().heads();
          observer.layer(i, heads.k(), heads.v());
        }
      }
      other = output;
      output = y;
    }
  }

  private @Nullable PairObjective pairs() {
    return batch.pairs() == null ? null : new PairObjective(batch, new SequenceRows(batch, rows()));
  }

  private int[] rows() {
    int[] rows = layers.rows();
    if (rows == null) {
      throw new IllegalStateException("only the last part of a model knows a loss");
    }
    return rows;
  }

  private int[] targets() {
    int[] rows = rows();
    int[] targets = new int[rows.length];
    for (int i = 0; i < rows.length; i++) {
      targets[i] = batch.targets()[rows[i]];
    }
    return targets;
  }

  @Override
  public void close() {
    frames.close();
    base.close();
  }
}
