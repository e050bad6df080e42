/**
 * GPUs of NVIDIA's: their driver, their compiler, and the kernels, whose CUDA C is among the
 * resources beside this package.
 */
@NullMarked
package org.ftcluster.worker.tensor.cuda;

import org.jspecify.annotations.NullMarked;
