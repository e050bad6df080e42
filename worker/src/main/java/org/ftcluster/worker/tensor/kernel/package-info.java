/**
 * Element-wise and row-wise CPU kernels with their backward passes, over rows of float32 or
 * bfloat16.
 *
 * <p>Each kernel reads a row into float32 scratch that stays in the first-level cache, computes
 * there, and writes it back in the tensor's type: all arithmetic is float32, and the loops are
 * written once. Rows are shared out over {@link org.ftcluster.worker.tensor.kernel.Parallel}; no
 * result depends on how.
 */
@NullMarked
package org.ftcluster.worker.tensor.kernel;

import org.jspecify.annotations.NullMarked;
