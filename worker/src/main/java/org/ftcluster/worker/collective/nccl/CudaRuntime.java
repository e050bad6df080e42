package org.ftcluster.worker.collective.nccl;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Optional;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.tensor.NativeLibraries;

/** Streams and events of the CUDA runtime. Every thread that calls has to {@link #use} a device. */
final class CudaRuntime {
  static final String PROPERTY = "ftcluster.cudart.library";
  static final String VARIABLE = "FTCLUSTER_CUDART_LIBRARY";

  /** {@code cudaErrorNotReady}. */
  private static final int NOT_READY = 600;

  /** {@code cudaStreamNonBlocking}. */
  private static final int NON_BLOCKING = 1;

  /** {@code cudaEventDisableTiming}. */
  private static final int WITHOUT_TIMING = 2;

  private static final int TEXT_BYTES = 1 << 12;

  private final MethodHandle setDevice;
  private final MethodHandle streamCreate;
  private final MethodHandle streamDestroy;
  private final MethodHandle streamWaitEvent;
  private final MethodHandle eventCreate;
  private final MethodHandle eventRecord;
  private final MethodHandle eventQuery;
  private final MethodHandle eventDestroy;
  private final MethodHandle malloc;
  private final MethodHandle free;
  private final MethodHandle errorString;

  private CudaRuntime(SymbolLookup library) {
    setDevice = find(library, "cudaSetDevice", JAVA_INT);
    streamCreate = find(library, "cudaStreamCreateWithFlags", ADDRESS, JAVA_INT);
    streamDestroy = find(library, "cudaStreamDestroy", ADDRESS);
    streamWaitEvent = find(library, "cudaStreamWaitEvent", ADDRESS, ADDRESS, JAVA_INT);
    eventCreate = find(library, "cudaEventCreateWithFlags", ADDRESS, JAVA_INT);
    eventRecord = find(library, "cudaEventRecord", ADDRESS, ADDRESS);
    eventQuery = find(library, "cudaEventQuery", ADDRESS);
    eventDestroy = find(library, "cudaEventDestroy", ADDRESS);
    malloc = find(library, "cudaMalloc", ADDRESS, JAVA_LONG);
    free = find(library, "cudaFree", ADDRESS);
    errorString = link(library, "cudaGetErrorString", FunctionDescriptor.of(ADDRESS, JAVA_INT));
  }

  /** Opens it; nothing where it is nowhere. */
  static Optional<CudaRuntime> open() {
    return new NativeLibraries(List.of("libcudart.so.12", "libcudart.so.13"), PROPERTY, VARIABLE)
        .open()
        .map(CudaRuntime::new);
  }

  private static MethodHandle find(SymbolLookup library, String name, MemoryLayout... arguments) {
    return link(library, name, FunctionDescriptor.of(JAVA_INT, arguments));
  }

  private static MethodHandle link(
      SymbolLookup library, String name, FunctionDescriptor descriptor) {
    MemorySegment symbol =
        library
            .find(name)
            .orElseThrow(() -> new CollectiveException("libcudart has no %s".formatted(name)));
    return Linker.nativeLinker().downcallHandle(symbol, descriptor);
  }

  /** Binds the calling thread to a device. */
  void use(int device) {
    check("cudaSetDevice", call(setDevice, device));
  }

  MemorySegment newStream() {
    return created("cudaStreamCreateWithFlags", streamCreate, NON_BLOCKING);
  }

  void destroyStream(MemorySegment stream) {
    check("cudaStreamDestroy", call(streamDestroy, stream));
  }

  MemorySegment newEvent() {
    return created("cudaEventCreateWithFlags", eventCreate, WITHOUT_TIMING);
  }

  void destroyEvent(MemorySegment event) {
    check("cudaEventDestroy", call(eventDestroy, event));
  }

  /** The event happens when all that the stream was given so far is done. */
  void record(MemorySegment event, MemorySegment stream) {
    check("cudaEventRecord", call(eventRecord, event, stream));
  }

  /** What the stream is given from now on waits for the event. */
  void await(MemorySegment stream, MemorySegment event) {
    check("cudaStreamWaitEvent", call(streamWaitEvent, stream, event, 0));
  }

  boolean hasHappened(MemorySegment event) {
    int result = call(eventQuery, event);
    if (result == NOT_READY) {
      return false;
    }
    check("cudaEventQuery", result);
    return true;
  }

  /** Memory of the device. */
  MemorySegment allocate(long bytes) {
    return created("cudaMalloc", malloc, bytes).reinterpret(bytes);
  }

  void free(MemorySegment memory) {
    check("cudaFree", call(free, memory));
  }

  private MemorySegment created(String name, MethodHandle function, Object argument) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      check(name, call(function, out, argument));
      return out.get(ADDRESS, 0);
    }
  }

  private void check(String function, int result) {
    if (result != 0) {
      throw new CollectiveException(
          "%s failed: %s (%d)".formatted(function, describe(result), result));
    }
  }

  private String describe(int result) {
    try {
      MemorySegment text = (MemorySegment) errorString.invokeWithArguments(result);
      return text.reinterpret(TEXT_BYTES).getString(0);
    } catch (Throwable e) {
      throw new IllegalStateException("CUDA can't be called", e);
    }
  }

  private static int call(MethodHandle function, Object... arguments) {
    try {
      return (int) function.invokeWithArguments(arguments);
    } catch (Throwable e) {
      throw new IllegalStateException("CUDA can't be called", e);
    }
  }
}
