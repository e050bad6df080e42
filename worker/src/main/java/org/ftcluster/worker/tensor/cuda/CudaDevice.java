package org.ftcluster.worker.tensor.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.function.BooleanSupplier;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.KernelArguments;
import org.ftcluster.worker.tensor.NativeException;
import org.ftcluster.worker.tensor.Reserve;
import org.ftcluster.worker.tensor.Scratch;
import org.ftcluster.worker.tensor.TorchCuda;
import org.jspecify.annotations.Nullable;

/**
 * A GPU of NVIDIA's. Kernels are compiled for it as they are first launched, and run on the stream
 * that libtorch uses, so that both see each other's results without waiting.
 *
 * <p>Used by the thread that opened it.
 */
public final class CudaDevice implements Accelerator {
  /** {@code CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR}, and {@code _MINOR}. */
  private static final int CAPABILITY_MAJOR = 75;

  private static final int CAPABILITY_MINOR = 76;

  /** {@code CU_STREAM_NON_BLOCKING}. */
  private static final int NON_BLOCKING = 1;

  /** {@code CU_EVENT_DISABLE_TIMING}. */
  private static final int WITHOUT_TIMING = 2;

  private static final int NAME_BYTES = 256;
  static final int BLOCK_THREADS = 256;

  private final CudaDriver driver;
  private final Nvrtc compiler;
  private final int index;
  private final int device;
  private final String architecture;
  private final MemorySegment stream;
  private final Scratch scratch = new Scratch(this);
  private final Map<Module, MemorySegment> modules = new HashMap<>();
  private final Map<Kernel, MemorySegment> functions = new HashMap<>();

  /** Of what is brought beside; null before anything is. */
  private @Nullable MemorySegment besides;

  /** A file as compiled for a pair of element types. */
  private record Module(String file, DType to, DType from) {}

  private CudaDevice(CudaDriver driver, Nvrtc compiler, int index) {
    this.driver = driver;
    this.compiler = compiler;
    this.index = index;
    device = driver.number("cuDeviceGet", index);
    MemorySegment context =
        MemorySegment.ofAddress(driver.handle("cuDevicePrimaryCtxRetain", device));
    driver.call("cuCtxSetCurrent", context);
    architecture =
        "sm_%d%d"
            .formatted(
                driver.number("cuDeviceGetAttribute", CAPABILITY_MAJOR, device),
                driver.number("cuDeviceGetAttribute", CAPABILITY_MINOR, device));
    stream = TorchCuda.connect(index);
  }

  /**
   * Opens one, for the calling thread.
   *
   * @throws NativeException when there is none, or what it needs isn't installed; in one sentence
   */
  public static CudaDevice open(int index) {
    CudaDriver driver = driver();
    check(driver, index);
    Nvrtc compiler =
        Nvrtc.open()
            .orElseThrow(
                () ->
                    new NativeException(
                        "no NVRTC is installed (libnvrtc.so); %s can name one"
                            .formatted(Nvrtc.VARIABLE)));
    return new CudaDevice(driver, compiler, index);
  }

  /**
   * How many there are for this process: the machine's, or those that {@code CUDA_VISIBLE_DEVICES}
   * leaves. Opens none.
   *
   * @throws NativeException when no driver is installed, or it finds none; in one sentence
   */
  public static int count() {
    return count(driver());
  }

  private static int count(CudaDriver driver) {
    return driver.number("cuDeviceGetCount");
  }

  private static void check(CudaDriver driver, int index) {
    int count = count(driver);
    if (index >= count) {
      throw new NativeException("there is no GPU %d: the driver has %d".formatted(index, count));
    }
  }

  /**
   * What a GPU has, in use or not.
   *
   * @throws NativeException when there is no such GPU; in one sentence
   */
  public static long memoryBytes(int index) {
    CudaDriver driver = driver();
    check(driver, index);
    return driver.handle("cuDeviceTotalMem_v2", driver.number("cuDeviceGet", index));
  }

  private static CudaDriver driver() {
    CudaDriver driver =
        CudaDriver.open()
            .orElseThrow(() -> new NativeException("no CUDA driver is installed (libcuda.so.1)"));
    driver.call("cuInit", 0);
    return driver;
  }

  @Override
  public int blockThreads() {
    return BLOCK_THREADS;
  }

  @Override
  public String name() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocate(NAME_BYTES);
      driver.call("cuDeviceGetName", name, NAME_BYTES, device);
      return name.getString(0, StandardCharsets.UTF_8);
    }
  }

  @Override
  public int torchDeviceType() {
    return TorchCuda.DEVICE_TYPE;
  }

  @Override
  public int torchDeviceIndex() {
    return index;
  }

  @Override
  public MemorySegment stream() {
    return stream;
  }

  @Override
  public long freeBytes() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment free = arena.allocate(JAVA_LONG);
      MemorySegment total = arena.allocate(JAVA_LONG);
      driver.call("cuMemGetInfo_v2", free, total);
      return free.get(JAVA_LONG, 0);
    }
  }

  @Override
  public MemorySegment allocate(long bytes) {
    return MemorySegment.ofAddress(driver.handle("cuMemAlloc_v2", bytes)).reinterpret(bytes);
  }

  @Override
  public void free(MemorySegment memory) {
    driver.call("cuMemFree_v2", memory.address());
  }

  @Override
  public Reserve reserve(long bytes) {
    return new CudaReserve(driver, device, bytes);
  }

  @Override
  public Scratch scratch() {
    return scratch;
  }

  @Override
  public void clear(MemorySegment memory) {
    if (memory.byteSize() > 0) {
      driver.call("cuMemsetD8Async", memory.address(), (byte) 0, memory.byteSize(), stream);
    }
  }

  /** From pageable memory the driver copies what it hasn't sent yet before it returns. */
  @Override
  public void upload(MemorySegment to, MemorySegment from) {
    if (from.byteSize() > 0) {
      driver.call("cuMemcpyHtoDAsync_v2", to.address(), from, from.byteSize(), stream);
    }
  }

  @Override
  public void download(MemorySegment to, MemorySegment from) {
    if (to.byteSize() > 0) {
      driver.call("cuMemcpyDtoHAsync_v2", to, from.address(), to.byteSize(), stream);
    }
    synchronize();
  }

  @Override
  public MemorySegment allocateOnHost(long bytes) {
    return MemorySegment.ofAddress(driver.handle("cuMemHostAlloc", bytes, 0)).reinterpret(bytes);
  }

  @Override
  public void freeOnHost(MemorySegment memory) {
    driver.call("cuMemFreeHost", memory);
  }

  @Override
  public Runnable bring(MemorySegment to, MemorySegment from) {
    MemorySegment own = besides();
    follow(own, stream);
    driver.call("cuMemcpyHtoDAsync_v2", to.address(), from, from.byteSize(), own);
    return new Copy(event(own))::holdUpStream;
  }

  @Override
  public BooleanSupplier take(MemorySegment to, MemorySegment from) {
    MemorySegment own = besides();
    follow(own, stream);
    driver.call("cuMemcpyDtoHAsync_v2", to, from.address(), from.byteSize(), own);
    return new Copy(event(own))::isDone;
  }

  /** A copy on its way, whose event is given back once, however often it is asked for. */
  private final class Copy {
    private @Nullable MemorySegment event;

    Copy(MemorySegment event) {
      this.event = event;
    }

    /** What libtorch's stream is told from now on waits for it. */
    void holdUpStream() {
      if (event != null) {
        driver.call("cuStreamWaitEvent", stream, event, 0);
        letGo(event);
      }
    }

    boolean isDone() {
      if (event != null && driver.isDone("cuEventQuery", event)) {
        letGo(event);
      }
      return event == null;
    }

    private void letGo(MemorySegment passed) {
      event = null;
      driver.call("cuEventDestroy_v2", passed);
    }
  }

  private MemorySegment besides() {
    MemorySegment own = besides;
    if (own == null) {
      own = MemorySegment.ofAddress(driver.handle("cuStreamCreate", NON_BLOCKING));
      besides = own;
    }
    return own;
  }

  /** What a stream is told from now on comes after what another one was told before. */
  private void follow(MemorySegment later, MemorySegment earlier) {
    MemorySegment event = event(earlier);
    driver.call("cuStreamWaitEvent", later, event, 0);
    driver.call("cuEventDestroy_v2", event); // once it has happened
  }

  /** One that happens when the stream has done what it was told. */
  private MemorySegment event(MemorySegment of) {
    MemorySegment event = MemorySegment.ofAddress(driver.handle("cuEventCreate", WITHOUT_TIMING));
    driver.call("cuEventRecord", event, of);
    return event;
  }

  @Override
  public void launch(Kernel kernel, long blocks, Object... arguments) {
    if (blocks == 0) {
      return;
    }
    MemorySegment function = functions.computeIfAbsent(kernel, this::load);
    try (Arena arena = Arena.ofConfined()) {
      driver.call(
          "cuLaunchKernel",
          function,
          Math.toIntExact(blocks),
          1,
          1,
          BLOCK_THREADS,
          1,
          1,
          0,
          stream,
          KernelArguments.of(arena, arguments),
          MemorySegment.NULL);
    }
  }

  private MemorySegment load(Kernel kernel) {
    MemorySegment module =
        modules.computeIfAbsent(
            new Module(kernel.file(), kernel.to(), kernel.from()), this::compile);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment cell = arena.allocate(ADDRESS);
      driver.call("cuModuleGetFunction", cell, module, arena.allocateFrom(kernel.name()));
      return cell.get(ADDRESS, 0);
    }
  }

  private MemorySegment compile(Module module) {
    byte[] code =
        KernelCompiler.compile(
            compiler, module.file(), module.to(), module.from(), architecture, Nvrtc.Output.CUBIN);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment image = arena.allocate(code.length, JAVA_LONG.byteSize());
      image.copyFrom(MemorySegment.ofArray(code));
      return MemorySegment.ofAddress(driver.handle("cuModuleLoadData", image));
    }
  }

  @Override
  public void synchronize() {
    driver.call("cuStreamSynchronize", stream);
  }

  /** Gives back what is its own; libtorch keeps the GPU until the process ends. */
  @Override
  public void close() {
    synchronize();
    scratch.close();
    if (besides != null) {
      driver.call("cuStreamSynchronize", besides);
      driver.call("cuStreamDestroy_v2", besides);
    }
    driver.call("cuDevicePrimaryCtxRelease_v2", device);
  }
}
