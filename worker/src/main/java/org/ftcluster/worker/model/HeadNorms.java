package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowOps;

/**
 * Norms of queries and keys, each head by itself and all with the same weights, before they are
 * rotated, as Qwen3 has them: they keep scores from growing (arXiv:2302.05442).
 *
 * @param query weight float32 [C]
 * @param key the same
 */
record HeadNorms(Norm query, Norm key) {
  /**
   * What the backward needs: what the norms were taken of.
   *
   * @param query [T, H C]
   * @param key [T, K C]
   */
  record Saved(HeadNorms norms, Tensor query, Tensor key) {
    /**
     * Gradients of the norms' outputs become those of their inputs; those of the weights are left
     * where they are trained.
     */
    void backward(Pass pass, QueryKeyValue gradients) {
      backward(pass, norms.query(), gradients.q(), query);
      backward(pass, norms.key(), gradients.k(), key);
    }

    private static void backward(Pass pass, Norm norm, Tensor gradient, Tensor x) {
      try (Scope scope = pass.workspace().open()) {
        Tensor dNormed = copy(scope, gradient);
        gradient.clear();
        norm.backward(rows(gradient, norm), rows(dNormed, norm), rows(x, norm));
      }
    }
  }

  /** In place. */
  void apply(QueryKeyValue heads) {
    Tensor queries = rows(heads.q(), query);
    Tensor keys = rows(heads.k(), key);
    query.apply(queries, queries);
    key.apply(keys, keys);
  }

  /**
   * In place.
   *
   * @param saved the topmost scope, where what the backward needs is kept
   */
  Saved forward(Scope saved, QueryKeyValue heads) {
    Saved projected = new Saved(this, copy(saved, heads.q()), copy(saved, heads.k()));
    apply(heads);
    return projected;
  }

  /** Heads side by side, [T, H C], as rows of their own, [T H, C]. */
  private static Tensor rows(Tensor heads, Norm norm) {
    long size = norm.weight().value().size(0);
    return heads.view(heads.elements() / size, size);
  }

  private static Tensor copy(Scope scope, Tensor x) {
    Tensor copy = scope.empty(x.dtype(), x.shape());
    RowOps.copy(copy, x);
    return copy;
  }
}
