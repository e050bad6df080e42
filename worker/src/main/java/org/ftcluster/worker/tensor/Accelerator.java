package org.ftcluster.worker.tensor;

import java.lang.foreign.MemorySegment;
import java.util.function.BooleanSupplier;

/**
 * A GPU: memory that isn't the host's, and kernels over it. What it is told is done in the order
 * told, some time after the call returns; one thread tells it.
 *
 * <p>Segments of its memory are addresses only: reading one from Java ends the process.
 */
public interface Accelerator extends AutoCloseable {
  /** Threads of each of a kernel's blocks; what its source calls THREADS. */
  int blockThreads();

  /** What people know it by, e.g. {@code NVIDIA H200}. */
  String name();

  /** {@code c10::DeviceType} of its memory. */
  int torchDeviceType();

  /** {@code c10::DeviceIndex} of its memory. */
  int torchDeviceIndex();

  /** Address of the CUDA stream that it is told on; 0 where it has none. */
  MemorySegment stream();

  /** Bytes of memory that nobody uses at the moment. */
  long freeBytes();

  /** Memory with undefined contents, aligned for any kernel. */
  MemorySegment allocate(long bytes);

  void free(MemorySegment memory);

  /** Address space that gets memory as far as it is used. */
  Reserve reserve(long bytes);

  /** Room for what lives for a few kernels. */
  Scratch scratch();

  /** The host's memory with which {@link #bring} and {@link #take} are fastest. */
  MemorySegment allocateOnHost(long bytes);

  void freeOnHost(MemorySegment memory);

  /**
   * Begins to bring bytes of the host's, from {@link #allocateOnHost}: after what was told before,
   * and beside what is told from now on.
   *
   * @return to be run before they are used: what is told after that sees them
   */
  Runnable bring(MemorySegment to, MemorySegment from);

  /**
   * Begins to take bytes to the host's memory, from {@link #allocateOnHost}: after what was told
   * before, and beside what is told from now on.
   *
   * @return whether they are there
   */
  BooleanSupplier take(MemorySegment to, MemorySegment from);

  /** Sets all bytes to 0. */
  void clear(MemorySegment memory);

  /** From the host, whose memory is free again once this returns. */
  void upload(MemorySegment to, MemorySegment from);

  /** To the host; waits for all that was told before. */
  void download(MemorySegment to, MemorySegment from);

  /**
   * Runs a kernel.
   *
   * @param blocks of {@link #blockThreads} threads
   * @param arguments {@link Integer}, {@link Long}, {@link Float} or {@link Double} as the kernel
   *     has them; a {@link MemorySegment} or a {@link Tensor} for a pointer
   */
  void launch(Kernel kernel, long blocks, Object... arguments);

  /** Waits for all that was told before. */
  void synchronize();

  @Override
  void close();
}
