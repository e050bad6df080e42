package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A part's layers with one batch going through them.
 *
 * @param rows of the batch's tokens that the whole model's last layer is wanted for; null where
 *     that is in another part
 */
record BatchLayers(LoadedPart part, Pass pass, int @Nullable [] rows) {
  int count() {
    return part.layers().size();
  }

  /** For what a layer makes: [T, D], or [N, D] of the rows wanted; of a slice its own rows. */
  Tensor newOutput(Scope scope, int layer) {
    return newTensor(scope, rows != null && isLast(layer) ? rows.length : pass.tokens());
  }

  /** Of a slice its own rows of so many. */
  Tensor newTensor(Scope scope, int rowCount) {
    return scope.empty(part.computeType(), rowCount / part.place().slices(), part.hiddenSize());
  }

  /** As {@link DecoderLayer#forward}. */
  DecoderLayer.Saved forward(int layer, Scope scope, Tensor y, Tensor x) {
    return part.layers().get(layer).forward(pass, scope, y, x, isLast(layer) ? rows : null);
  }

  /** As {@link DecoderLayer#backward}. */
  void backward(int layer, Tensor dx, Tensor dy, DecoderLayer.Saved saved) {
    boolean wantInput = layer > 0 || part.wantsInputGradient();
    part.layers().get(layer).backward(pass, dx, dy, saved, wantInput);
  }

  /** Of the whole model's last layer only the rows that are wanted are computed. */
  private boolean isLast(int layer) {
    return rows != null && layer == count() - 1;
  }
}
