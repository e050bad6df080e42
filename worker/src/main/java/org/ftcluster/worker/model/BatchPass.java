package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.model.CausalLanguageModel.LayerObserver;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * One batch on its way through a part of a model: {@link #forward}, then {@link #backward} or
 * {@link #loss}, then {@link #close}. Where the part isn't the first, {@link #input} is to be
 * filled before the forward; where it isn't the last, {@link #gradient} before the backward, which
 * leaves there what the part before wants.
 *
 * <p>Each layer keeps what its backward needs in a frame of the workspace, and frames close in the
 * order in which the backward runs. With recomputation a layer keeps its output only, and runs its
 * forward again first.
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
  private final int @Nullable [] rows;
  private final Purpose purpose;
  private final @Nullable LayerObserver observer;
  private final Scope base;
  private final Tensor input;
  private final List<Frame> frames = new ArrayList<>();

  /** Null where all that layers keep stays in memory. */
  private final FiledActivations.@Nullable Batch filed;

  /** Of the rows that carry a loss; null where the part isn't the last, or nothing is learned. */
  private final @Nullable Tensor lossGradient;

  private final @Nullable Tensor gradient;
  private Tensor output;

  /**
   * @param saved null where the layer is to be computed again
   * @param outputPages of the workspace, where anything is to be put away
   */
  private record Frame(
      Scope scope,
      Tensor input,
      Tensor output,
      DecoderLayer.@Nullable Saved saved,
      @Nullable MemorySegment outputPages) {}

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
    this.rows = part.place().isLast() ? lossRows : null;
    this.purpose = purpose;
    this.observer = observer;
    boolean training = purpose == Purpose.TRAINING;
    FiledActivations disk = training ? part.activations() : null;
    this.filed = disk == null ? null : disk.open(pass.workspace());
    this.base = pass.workspace().open();
    this.lossGradient = training && rows != null ? newTensor(base, rows.length) : null;
    this.gradient = training ? newTensor(base, pass.tokens()) : null;
    this.input = newTensor(base, pass.tokens());
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

  /** For {@link #loss}; some token of the batch carries one. */
  static BatchPass evaluating(LoadedPart part, Workspace workspace, TokenBatch sequences) {
    int multiple = rowMultiple(part);
    TokenBatch batch = sequences.padded(multiple);
    Pass pass = Pass.of(workspace, batch, false, 0);
    int[] rows = batch.lossRows(multiple);
    return new BatchPass(part, batch, pass, rows, Purpose.EVALUATING, null);
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
      for (int i = 0; i < part.layers().size(); i++) {
        part.supply().beforeForward(i, true);
        Frame frame = frame(i, output);
        frames.add(frame);
        output = frame.output();
      }
    } else {
      forwardOnly();
    }
  }

  /**
   * Overwrites all of the parameters' gradients with this batch's, as far as they are this part's;
   * others become zero.
   *
   * @param lossScale factor on the sum of the losses
   * @return that sum; 0 where the part isn't the last
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
    // Those of an accelerator come to the host together, once all are there.
    double loss =
        throughLayers(lossScale, part.trained().areOnDevice() ? GradientListener.NONE : listener);
    part.trained().gradientsDone();
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
      loss = part.head().loss(pass.workspace(), dy, output, targets(), lossScale);
      part.supply().afterHead(listener);
      dx.clear();
    }
    for (int i = frames.size() - 1; i >= 0; i--) {
      backward(i, dx, dy);
      Scope frame = frames.removeLast().scope();
      if (filed == null) {
        frame.close();
      } else {
        filed.end(frame);
      }
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

  /** The sum of the losses. */
  public double loss() {
    part.supply().beforeHead(false);
    return part.head().loss(pass.workspace(), null, output, targets(), 0);
  }

  /**
   * Gradients that are summed in several places, or are other parts', begin at zero. What an
   * accelerator has of other parts' stays as it was in the beginning.
   */
  private void startGradients() {
    if (part.supply().gathered() != null) {
      return; // those of each unit when its turn comes
    }
    if (!part.place().isWhole() && !part.trained().areOnDevice()) {
      part.parameters().gradients().fill((byte) 0);
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
    Tensor other = newTensor(base, pass.tokens());
    Tensor last = newTensor(base, rowsOf(part.layers().size() - 1));
    for (int i = 0; i < part.layers().size(); i++) {
      part.supply().beforeForward(i, false);
      Tensor y = isLastLayer(i) ? last : other;
      try (Scope temporary = pass.workspace().open()) {
        DecoderLayer.Saved saved = run(i, temporary, y, output);
        if (observer != null) {
          QueryKeyValue heads = saved.attention().heads();
          observer.layer(i, heads.k(), heads.v());
        }
      }
      other = output;
      output = y;
    }
  }

  private Frame frame(int layer, Tensor x) {
    Scope scope = pass.workspace().open();
    try {
      return filed == null
          ? frame(layer, scope, x, newTensor(scope, rowsOf(layer)), null)
          : filedFrame(filed, layer, scope, x);
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  /** What the layer's backward needs is put away, with its input, which nothing else does. */
  private Frame filedFrame(FiledActivations.Batch to, int layer, Scope scope, Tensor x) {
    Workspace memory = pass.workspace();
    long start = memory.pageBoundary();
    Tensor y = newTensor(scope, rowsOf(layer));
    long kept = memory.pageBoundary();
    Frame frame = frame(layer, scope, x, y, memory.pages(start, kept));
    if (!part.offloads(layer)) {
      to.settle();
    } else {
      MemorySegment saved = memory.pages(kept, memory.pageBoundary());
      MemorySegment inputPages = frames.isEmpty() ? null : frames.getLast().outputPages();
      to.kept(layer, inputPages == null ? List.of(saved) : List.of(inputPages, saved));
    }
    return frame;
  }

  private Frame frame(
      int layer, Scope scope, Tensor x, Tensor y, @Nullable MemorySegment outputPages) {
    if (!part.savings().recomputes(layer)) {
      return new Frame(scope, x, y, run(layer, scope, y, x), outputPages);
    }
    try (Scope temporary = pass.workspace().open()) {
      run(layer, temporary, y, x);
    }
    return new Frame(scope, x, y, null, outputPages);
  }

  private void backward(int layer, Tensor dx, Tensor dy) {
    part.supply().beforeBackward(layer);
    if (filed != null) {
      filed.need(layer);
    }
    Frame frame = frames.get(layer);
    boolean wantInput = layer > 0 || part.wantsInputGradient();
    if (frame.saved() != null) {
      part.layers().get(layer).backward(pass, dx, dy, frame.saved(), wantInput);
      return;
    }
    try (Scope temporary = pass.workspace().open()) {
      DecoderLayer.Saved saved = run(layer, temporary, frame.output(), frame.input());
      part.layers().get(layer).backward(pass, dx, dy, saved, wantInput);
    }
  }

  private DecoderLayer.Saved run(int layer, Scope scope, Tensor y, Tensor x) {
    return part.layers().get(layer).forward(pass, scope, y, x, isLastLayer(layer) ? rows : null);
  }

  /** Of the whole model's last layer only the rows that are wanted are computed. */
  private boolean isLastLayer(int layer) {
    return rows != null && layer == part.layers().size() - 1;
  }

  private int rowsOf(int layer) {
    return rows != null && isLastLayer(layer) ? rows.length : pass.tokens();
  }

  /** Of a slice its own rows of so many. */
  private Tensor newTensor(Scope scope, int rowCount) {
    return scope.empty(part.computeType(), rowCount / part.place().slices(), part.hiddenSize());
  }

  private int[] targets() {
    if (rows == null) {
      throw new IllegalStateException("only the last part of a model knows a loss");
    }
    int[] targets = new int[rows.length];
    for (int i = 0; i < rows.length; i++) {
      targets[i] = batch.targets()[rows[i]];
    }
    return targets;
  }

  @Override
  public void close() {
    if (filed != null) {
      filed.close();
    }
    frames.reversed().forEach(frame -> frame.scope().close());
    frames.clear();
    base.close();
  }
}
