package org.ftcluster.worker.quantization;

import org.ftcluster.worker.tensor.Scope;

/** A weight of which fewer bits are held than products are computed with, in the host's memory. */
public sealed interface PackedWeight extends Weight permits Int8Weight, Nf4Weight {
  /**
   * The part of the matrix in rows [fromRow, toRow) and columns [fromColumn, toColumn), with the
   * very values it has in the whole: what a tensor-parallel rank holds.
   *
   * @param scope where its codes stay
   */
  PackedWeight slice(Scope scope, long fromRow, long toRow, long fromColumn, long toColumn);
}
