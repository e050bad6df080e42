package org.ftcluster.worker.collective.nccl;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.ftcluster.worker.collective.Communicator;

/**
 * What all communicators of a rank have in common.
 *
 * @param gpu its number
 * @param callersStream the CUDA stream that buffers are written and read on
 * @param hosts the generation's ranks over TCP, which notice one that is lost
 * @param deadline for NCCL to connect, and to take a call
 */
record NcclContext(
    NcclLibrary nccl,
    CudaRuntime cuda,
    int gpu,
    MemorySegment callersStream,
    Communicator hosts,
    Duration deadline) {
  /** Binds the calling thread to the GPU. */
  void use() {
    cuda.use(gpu);
  }
}
