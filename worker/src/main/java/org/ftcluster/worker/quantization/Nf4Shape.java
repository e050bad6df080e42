package org.ftcluster.worker.quantization;

import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/**
 * What a matrix in NF4 is expanded to.
 *
 * @param expandedType of its elements then
 * @param before columns of each row that are held only because a block is held whole
 * @param after as {@code before}, behind those that are wanted
 */
record Nf4Shape(long rows, long columns, DType expandedType, long before, long after) {
  static Nf4Shape of(long rows, long columns, DType expandedType) {
    return new Nf4Shape(rows, columns, expandedType, 0, 0);
  }

  /** Room for all that is held. */
  Tensor room(Scope scope) {
    return scope.empty(expandedType, rows, before + columns + after);
  }

  /** Of all that is held what is wanted, in the same memory. */
  Tensor wanted(Tensor held) {
    return held.slice(1, before, before + columns);
  }
}
