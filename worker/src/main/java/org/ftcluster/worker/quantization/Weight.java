package org.ftcluster.worker.quantization;

import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** A frozen matrix [out, in], however it is held. */
public sealed interface Weight permits DenseWeight, Nf4Weight {
  /** out. */
  long rows();

  /** in. */
  long columns();

  /** Bytes that the weight takes while it isn't used. */
  long bytes();

  /**
   * The matrix in the type that products are computed in: dense weights as they are, packed ones
   * expanded into {@code scope}, to be dropped right after the product.
   */
  Tensor expand(Scope scope);
}
