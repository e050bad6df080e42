package org.ftcluster.worker.tensor.cuda;

import java.util.List;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Kernel;

/** How the kernels' files are compiled. */
final class KernelCompiler {
  private KernelCompiler() {}

  /**
   * Compiles a file of {@link KernelSources}. Products and sums aren't fused, so that element-wise
   * kernels leave the bits that the CPU's leave.
   *
   * @param architecture such as {@code sm_90}
   */
  static byte[] compile(
      Nvrtc compiler, String file, DType to, DType from, String architecture, Nvrtc.Output output) {
    return compiler.compile(
        file + ".cu",
        KernelSources.of(file),
        architecture,
        List.of(
            "--std=c++17",
            "--fmad=false",
            "-DTHREADS=" + CudaDevice.BLOCK_THREADS,
            "-DTO=" + Kernel.nameOf(to),
            "-DFROM=" + Kernel.nameOf(from)),
        output);
  }
}
