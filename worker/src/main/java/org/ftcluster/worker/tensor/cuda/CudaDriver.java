package org.ftcluster.worker.tensor.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.ftcluster.worker.tensor.NativeException;
import org.ftcluster.worker.tensor.NativeFunction;
import org.ftcluster.worker.tensor.NativeLibraries;
import org.ftcluster.worker.tensor.NativeLibrary;

/**
 * Functions of the CUDA driver by their names, results checked. What they take and give is said by
 * {@link #SIGNATURES}; all of them answer a {@code CUresult}.
 */
final class CudaDriver {
  static final String PROPERTY = "ftcluster.cuda.library";
  static final String VARIABLE = "FTCLUSTER_CUDA_LIBRARY";

  /** {@code CUDA_ERROR_NOT_READY}. */
  private static final int NOT_READY = 600;

  /** Device pointers are numbers, contexts, modules, functions and streams are pointers. */
  private static final Map<String, List<MemoryLayout>> SIGNATURES =
      Map.ofEntries(
          signature("cuInit", JAVA_INT),
          signature("cuDeviceGetCount", ADDRESS),
          signature("cuDeviceGet", ADDRESS, JAVA_INT),
          signature("cuDeviceGetName", ADDRESS, JAVA_INT, JAVA_INT),
          signature("cuDeviceTotalMem_v2", ADDRESS, JAVA_INT),
          signature("cuDeviceGetAttribute", ADDRESS, JAVA_INT, JAVA_INT),
          signature("cuDevicePrimaryCtxRetain", ADDRESS, JAVA_INT),
          signature("cuDevicePrimaryCtxRelease_v2", JAVA_INT),
          signature("cuCtxSetCurrent", ADDRESS),
          signature("cuCtxSynchronize"),
          signature("cuModuleLoadData", ADDRESS, ADDRESS),
          signature("cuModuleGetFunction", ADDRESS, ADDRESS, ADDRESS),
          signature(
              "cuLaunchKernel",
              ADDRESS,
              JAVA_INT,
              JAVA_INT,
              JAVA_INT,
              JAVA_INT,
              JAVA_INT,
              JAVA_INT,
              JAVA_INT,
              ADDRESS,
              ADDRESS,
              ADDRESS),
          signature("cuMemGetInfo_v2", ADDRESS, ADDRESS),
          signature("cuMemAlloc_v2", ADDRESS, JAVA_LONG),
          signature("cuMemFree_v2", JAVA_LONG),
          signature("cuMemsetD8Async", JAVA_LONG, JAVA_BYTE, JAVA_LONG, ADDRESS),
          signature("cuMemcpyHtoDAsync_v2", JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS),
          signature("cuMemcpyDtoHAsync_v2", ADDRESS, JAVA_LONG, JAVA_LONG, ADDRESS),
          signature("cuMemHostAlloc", ADDRESS, JAVA_LONG, JAVA_INT),
          signature("cuMemFreeHost", ADDRESS),
          signature("cuStreamCreate", ADDRESS, JAVA_INT),
          signature("cuStreamDestroy_v2", ADDRESS),
          signature("cuStreamWaitEvent", ADDRESS, ADDRESS, JAVA_INT),
          signature("cuEventCreate", ADDRESS, JAVA_INT),
          signature("cuEventQuery", ADDRESS),
          signature("cuEventRecord", ADDRESS, ADDRESS),
          signature("cuEventDestroy_v2", ADDRESS),
          signature("cuStreamSynchronize", ADDRESS),
          signature("cuMemAddressReserve", ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
          signature("cuMemAddressFree", JAVA_LONG, JAVA_LONG),
          signature("cuMemCreate", ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG),
          signature("cuMemMap", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
          signature("cuMemSetAccess", JAVA_LONG, JAVA_LONG, ADDRESS, JAVA_LONG),
          signature("cuMemUnmap", JAVA_LONG, JAVA_LONG),
          signature("cuMemRelease", JAVA_LONG));

  private final Map<String, NativeFunction> functions = new HashMap<>();
  private final NativeFunction getErrorString;

  private CudaDriver(NativeLibrary library) {
    SIGNATURES.forEach(
        (name, arguments) ->
            functions.put(name, library.function(name, arguments.toArray(MemoryLayout[]::new))));
    getErrorString = library.function("cuGetErrorString", JAVA_INT, ADDRESS);
  }

  private static Map.Entry<String, List<MemoryLayout>> signature(
      String name, MemoryLayout... arguments) {
    return Map.entry(name, List.of(arguments));
  }

  /** Opens it; nothing where none is installed. */
  static Optional<CudaDriver> open() {
    return new NativeLibraries(List.of("libcuda.so.1"), PROPERTY, VARIABLE)
        .open()
        .map(CudaDriver::new);
  }

  /**
   * Calls a function.
   *
   * @throws NativeException when it fails, or something that was told before has
   */
  void call(String name, Object... arguments) {
    check(name, result(name, arguments));
  }

  /**
   * Whether what a function asks after is done.
   *
   * @throws NativeException as {@link #call}
   */
  boolean isDone(String name, Object... arguments) {
    int result = result(name, arguments);
    if (result == NOT_READY) {
      return false;
    }
    check(name, result);
    return true;
  }

  private int result(String name, Object[] arguments) {
    NativeFunction function = functions.get(name);
    if (function == null) {
      throw new IllegalArgumentException("no signature of " + name);
    }
    return function.call(arguments);
  }

  private void check(String name, int result) {
    if (result != 0) {
      throw new NativeException("%s failed: %s (%d)".formatted(name, describe(result), result));
    }
  }

  /** The number that a function writes to where its first argument points. */
  int number(String name, Object... others) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment cell = arena.allocate(JAVA_INT);
      call(name, withFirst(cell, others));
      return cell.get(JAVA_INT, 0);
    }
  }

  /** The handle or device pointer that a function writes to where its first argument points. */
  long handle(String name, Object... others) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment cell = arena.allocate(JAVA_LONG);
      call(name, withFirst(cell, others));
      return cell.get(JAVA_LONG, 0);
    }
  }

  private static Object[] withFirst(Object first, Object[] others) {
    Object[] all = new Object[others.length + 1];
    all[0] = first;
    System.arraycopy(others, 0, all, 1, others.length);
    return all;
  }

  private String describe(int result) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment cell = arena.allocate(ADDRESS);
      int unknown = getErrorString.call(result, cell);
      return unknown != 0 ? "an error without a name" : NativeFunction.textAt(cell.get(ADDRESS, 0));
    }
  }
}
