package org.ftcluster.worker.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;

/** libtorch's own use of a GPU. */
public final class TorchCuda {
  /** {@code c10::DeviceType::CUDA}. */
  public static final int DEVICE_TYPE = 1;

  private TorchCuda() {}

  /** Where it is, if the libtorch at hand has it. */
  static Path library() {
    return LibTorch.folder().resolve("libtorch_cuda.so");
  }

  /**
   * Has libtorch begin to use a GPU.
   *
   * @return the stream on which it runs its kernels, those of the calling thread
   * @throws NativeException when the libtorch at hand can't use it
   */
  public static MemorySegment connect(int index) {
    Aten.initialize();
    if (!Files.isRegularFile(library())) {
      throw new NativeException(
          "libtorch in %s is built for CPUs; %s can name the folder of one with libtorch_cuda.so"
              .formatted(LibTorch.folder(), LibTorchFolder.VARIABLE));
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment cell = arena.allocate(ADDRESS);
      MemorySegment one = LibTorch.longs(arena, new long[] {1});
      // Whatever comes first has libtorch look for the GPU, and says what is wrong with it.
      LibTorch.check(
          "empty_strided",
          () ->
              (int)
                  LibTorch.EMPTY_STRIDED.invokeExact(
                      1L, one, one, DType.FLOAT32.code(), DEVICE_TYPE, index, cell));
      MemorySegment tensor = cell.get(ADDRESS, 0);
      LibTorch.check(
          "delete_tensor_object", () -> (int) LibTorch.DELETE_TENSOR.invokeExact(tensor));
      LibTorch.check(
          "get_current_cuda_stream",
          () -> (int) LibTorchCuda.CURRENT_STREAM.invokeExact(index, cell));
      return cell.get(ADDRESS, 0);
    }
  }
}
