package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.ftcluster.worker.tensor.kernel.Elements;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.ftcluster.worker.tensor.kernel.SmallProducts;
import org.jspecify.annotations.Nullable;

/**
 * The last norm, the product with the vocabulary and the cross-entropy, as one operation over
 * chunks of rows: the logits of a whole batch never exist at once.
 */
final class LanguageHead {
  /** Chunks of 256 rows of a vocabulary of 32,000 take a tenth longer than chunks of 512. */
  private static final long CHUNK_BYTES = 32 << 20;

  /**
   * Few rows make the products wait for the vocabulary's weights: of 152,000 tokens, chunks of 96
   * rows take a third longer than these.
   */
  private static final int LEAST_ROWS = 256;

  /** Rows of a chunk come in multiples of it, as those of a product's tiles do. */
  private static final int ROW_STEP = 32;

  /** A GPU needs more rows to be busy, and each chunk's losses are waited for. */
  private static final long DEVICE_CHUNK_BYTES = 512 << 20;

  /** Each chunk goes over all of a trained weight's gradient, so chunks should be few. */
  private static final int TRAINED_ROWS = 512;

  private final Norm norm;
  private final Parameter weight;
  private final float cap;
  private final TargetLoss targetLoss;
  private final TensorGroup slices;

  /**
   * @param weight [V, D] in the type that products are computed in; a slice has rows of it
   * @param cap of logits, which become {@code cap tanh(logit / cap)}; 0 for none
   */
  LanguageHead(Norm norm, Parameter weight, double cap, TargetLoss targetLoss, TensorGroup slices) {
    this.norm = norm;
    this.weight = weight;
    this.cap = (float) cap;
    this.targetLoss = targetLoss;
    this.slices = slices;
  }

  Parameter weight() {
    return weight;
  }

  /**
   * The losses of {@code targets}, one for each of the N rows.
   *
   * @param x [N, D], of a slice its own rows
   */
  float[] losses(Workspace workspace, Tensor x, int[] targets) {
    try (Scope scope = workspace.open()) {
      return lossesOfNormed(workspace, slices.gather(scope, norm.forward(scope, x)), targets);
    }
  }

  private float[] lossesOfNormed(Workspace workspace, Tensor normed, int[] targets) {
    float[] losses = new float[targets.length];
    int chunk = chunkRows();
    for (int from = 0; from < targets.length; from += chunk) {
      int to = Math.min(from + chunk, targets.length);
      try (Scope temporary = workspace.open()) {
        targetLoss.forward(logits(temporary, normed.slice(0, from, to)), targets, from, losses);
      }
    }
    return losses;
  }

  /**
   * The same, and what they come to.
   *
   * <p>What rows of pairs count is known once all losses are: soon enough for what is before the
   * head, but a head that is trained goes over all rows twice.
   *
   * @param dx [N, D] gets the gradient of {@code lossScale} times the result; of a slice its own
   *     rows
   * @param x [N, D], of a slice its own rows
   * @param pairs null where all rows count alike
   * @return the sum of the losses, or of the pairs'
   */
  double backward(
      Workspace workspace,
      Tensor dx,
      Tensor x,
      int[] targets,
      @Nullable PairObjective pairs,
      double lossScale) {
    Tensor matrix = weight.value();
    float[] losses = new float[targets.length];
    try (Scope scope = workspace.open()) {
      Tensor normed = slices.gather(scope, norm.forward(scope, x));
      Tensor dNormed = scope.empty(x.dtype(), normed.shape());
      float[] weights =
          pairs != null && weight.isTrained()
              ? pairs.weights(lossesOfNormed(workspace, normed, targets))
              : null;
      int chunk = chunkRows();
      for (int from = 0; from < targets.length; from += chunk) {
        int to = Math.min(from + chunk, targets.length);
        try (Scope temporary = workspace.open()) {
          Tensor rows = normed.slice(0, from, to);
          Tensor logits = logits(temporary, rows);
          Tensor capped = cap > 0 ? copy(temporary, logits) : null;
          targetLoss.forwardBackward(logits, targets, from, losses, lossScale);
          if (capped != null) {
            Elements.capBackward(logits, capped, cap);
          }
          if (weights != null) {
            Elements.scaleRows(logits, weights, from);
          }
          SmallProducts.multiply(workspace, dNormed.slice(0, from, to), logits, matrix, 1);
          if (weight.isTrained()) {
            weight.addToGradient(workspace, logits.transpose(), rows);
          }
        }
      }
      if (pairs != null && weights == null) {
        Elements.scaleRows(dNormed, pairs.weights(losses), 0);
      }
      Tensor dOwn = slices.roomForOwn(scope, dNormed);
      slices.sum(workspace, dOwn, dNormed);
      dx.clear();
      norm.backward(dx, dOwn, x);
    }
    return pairs == null ? sum(losses) : pairs.total(losses);
  }

  private static double sum(float[] losses) {
    double sum = 0;
    for (float loss : losses) {
      sum += loss;
    }
    return sum;
  }

  /**
   * {@code logits} [N, V] of {@code x} [N, D], without a loss: for generation, whose N is small.
   */
  void logits(Workspace workspace, Tensor logits, Tensor x) {
    try (Scope scope = workspace.open()) {
      multiply(logits, norm.forward(scope, x));
    }
  }

  private Tensor logits(Scope scope, Tensor normed) {
    Tensor logits = scope.empty(normed.dtype(), normed.size(0), weight.value().size(0));
    multiply(logits, normed);
    return logits;
  }

  private void multiply(Tensor logits, Tensor normed) {
    Aten.mm(logits, normed, weight.value().transpose());
    if (cap > 0) {
      Elements.cap(logits, cap);
    }
  }

  private static Tensor copy(Scope scope, Tensor x) {
    Tensor copy = scope.empty(x.dtype(), x.shape());
    RowOps.copy(copy, x);
    return copy;
  }

  private int chunkRows() {
    long chunk = weight.value().isOnDevice() ? DEVICE_CHUNK_BYTES : CHUNK_BYTES;
    long rowBytes = weight.value().size(0) * weight.value().dtype().bytes();
    int rows = (int) Math.max(weight.isTrained() ? TRAINED_ROWS : LEAST_ROWS, chunk / rowBytes);
    return rows / ROW_STEP * ROW_STEP;
  }
}
