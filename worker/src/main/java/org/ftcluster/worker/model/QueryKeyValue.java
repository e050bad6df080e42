package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowOps;

/**
 * What attention is computed from, of T tokens, heads side by side; or the gradients of that.
 *
 * @param q [T, H C]
 * @param k [T, K C]
 * @param v [T, K C]
 */
record QueryKeyValue(Tensor q, Tensor k, Tensor v) {
  static QueryKeyValue empty(Scope scope, DType type, long tokens, ModelConfig config) {
    return new QueryKeyValue(
        scope.empty(type, tokens, config.querySize()),
        scope.empty(type, tokens, config.keyValueSize()),
        scope.empty(type, tokens, config.keyValueSize()));
  }

  /** Those of tokens [from, to), in the same memory. */
  QueryKeyValue slice(long from, long to) {
    return new QueryKeyValue(q.slice(0, from, to), k.slice(0, from, to), v.slice(0, from, to));
  }

  QueryKeyValue inFloat32(Scope scope) {
    return new QueryKeyValue(inFloat32(scope, q), inFloat32(scope, k), inFloat32(scope, v));
  }

  /** {@code x} itself where it is of that type. */
  static Tensor inFloat32(Scope scope, Tensor x) {
    if (x.dtype() == DType.FLOAT32) {
      return x;
    }
    Tensor copy = scope.empty(DType.FLOAT32, x.shape());
    RowOps.copy(copy, x);
    return copy;
  }
}
