package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.ftcluster.worker.tensor.kernel.Elements;
import org.ftcluster.worker.tensor.kernel.RowOps;

/**
 * A row for each token, times a scale. Of a sliced one, each slice writes the rows of the tokens
 * that it holds, and the sum over slices has them all.
 *
 * @param table of {@code tokens}, of any floating-point type
 */
record Embedding(Parameter table, double scale, Span tokens, TensorGroup slices) {
  /** Writes {@code x} [T, D], of a slice its own rows. */
  void forward(Workspace workspace, Tensor x, int[] batch) {
    rows(workspace, x, batch);
    if (scale != 1) {
      Elements.scale(x, scale);
    }
  }

  private void rows(Workspace workspace, Tensor x, int[] batch) {
    Own own = own(batch);
    if (own.tokens.length == batch.length && slices.size() == 1) {
      RowOps.gather(x, table.value(), own.tokens);
      return;
    }
    try (Scope temporary = workspace.open()) {
      Tensor summand = slices.roomForAll(temporary, x);
      summand.clear();
      Tensor rows = temporary.empty(x.dtype(), own.tokens.length, x.size(1));
      RowOps.gather(rows, table.value(), own.tokens);
      RowOps.scatterAdd(summand, rows, own.places);
      slices.sum(workspace, x, summand);
    }
  }

  /**
   * Adds the gradient of the table.
   *
   * @param dx [T, D], of a slice its own rows; overwritten
   */
  void backward(Workspace workspace, Tensor dx, int[] batch) {
    if (scale != 1) {
      Elements.scale(dx, scale);
    }
    Own own = own(batch);
    try (Scope temporary = workspace.open()) {
      Tensor dxOfAll = slices.gather(temporary, dx);
      if (own.tokens.length == batch.length) {
        RowOps.scatterAdd(table.gradient(), dxOfAll, own.tokens);
        return;
      }
      Tensor rows = temporary.empty(dx.dtype(), own.tokens.length, dx.size(1));
      RowOps.gather(rows, dxOfAll, own.places);
      RowOps.scatterAdd(table.gradient(), rows, own.tokens);
    }
  }

  /**
   * The tokens that are here.
   *
   * @param tokens as rows of the table
   * @param places in the batch
   */
  private record Own(int[] tokens, int[] places) {}

  private Own own(int[] batch) {
    int count = 0;
    for (int token : batch) {
      count += tokens.contains(token) ? 1 : 0;
    }
    int[] rows = new int[count];
    int[] places = new int[count];
    int next = 0;
    for (int place = 0; place < batch.length; place++) {
      if (tokens.contains(batch[place])) {
        rows[next] = batch[place] - tokens.from();
        places[next++] = place;
      }
    }
    return new Own(rows, places);
  }
}
