/**
 * Collectives among GPUs: NVIDIA's NCCL and the few functions of the CUDA runtime that go with it,
 * called by the foreign function interface. Neither is needed where there is no GPU.
 */
@NullMarked
package org.ftcluster.worker.collective.nccl;

import org.jspecify.annotations.NullMarked;
