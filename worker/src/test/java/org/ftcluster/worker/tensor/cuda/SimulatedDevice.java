package org.ftcluster.worker.tensor.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;
import java.util.regex.Pattern;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.KernelArguments;
import org.ftcluster.worker.tensor.Reserve;
import org.ftcluster.worker.tensor.Scratch;

/**
 * An accelerator without a GPU: the very sources of the kernels, compiled by the host's C++
 * compiler with {@code simulation.h} in place of CUDA, over the host's memory. Products are
 * libtorch's, on the CPU.
 */
public final class SimulatedDevice implements Accelerator {
  /** Few, since they take turns; two warps at least, to have them work together. */
  private static final int BLOCK_THREADS = 64;

  private static final long RESERVED_BYTES = 64 << 20;

  /** Not the host's, which is what a dry run counts in. */
  private static final long PAGE_BYTES = 16 << 10;

  private static final Pattern ENTRY = Pattern.compile("extern \"C\" __global__ void (\\w+)\\(");
  private static final Map<List<Object>, SymbolLookup> LIBRARIES = new HashMap<>();

  private final Scratch scratch = new Scratch(this);
  private boolean closed;
  private final Map<MemorySegment, Arena> memory = new HashMap<>();
  private long allocated;
  private long mostAllocated;

  /** One of them; the test that asks is skipped where there is no compiler. */
  public static SimulatedDevice open() {
    HostCompiler.assumeIsHere();
    return new SimulatedDevice();
  }

  @Override
  public int blockThreads() {
    return BLOCK_THREADS;
  }

  @Override
  public String name() {
    return "simulated";
  }

  @Override
  public int torchDeviceType() {
    return 0;
  }

  @Override
  public int torchDeviceIndex() {
    return 0;
  }

  /** Everything is done at once. */
  @Override
  public MemorySegment stream() {
    return MemorySegment.NULL;
  }

  @Override
  public long freeBytes() {
    return 1L << 30;
  }

  @Override
  public MemorySegment allocate(long bytes) {
    allocated += bytes;
    mostAllocated = Math.max(mostAllocated, allocated);
    return hostMemory(bytes);
  }

  /** The most bytes that were {@link #allocate}d at once. */
  public long mostAllocated() {
    return mostAllocated;
  }

  private MemorySegment hostMemory(long bytes) {
    Arena arena = Arena.ofShared();
    MemorySegment segment = arena.allocate(bytes, 64);
    segment.asSlice(0, Math.min(bytes, 1 << 20)).fill((byte) 0xFF); // NaN, to be seen if it is read
    memory.put(segment, arena);
    return segment;
  }

  @Override
  public void free(MemorySegment segment) {
    allocated -= segment.byteSize();
    freeOnHost(segment);
  }

  /** What nothing is behind is not a number. */
  @Override
  public Reserve reserve(long bytes) {
    MemorySegment region = hostMemory(RESERVED_BYTES);
    BitSet pages = new BitSet();
    return new Reserve() {
      @Override
      public MemorySegment region() {
        return region;
      }

      @Override
      public long pageBytes() {
        return PAGE_BYTES;
      }

      @Override
      public void reach(long from, long to) {
        pages.set(Math.toIntExact(from / PAGE_BYTES), Math.toIntExact(pagesOf(to)));
      }

      @Override
      public void giveBack(long offset, long bytes) {
        int first = Math.toIntExact(pagesOf(offset));
        for (int page = first; page < (offset + bytes) / PAGE_BYTES; page++) {
          if (pages.get(page)) {
            pages.clear(page);
            region.asSlice(page * PAGE_BYTES, PAGE_BYTES).fill((byte) 0xFF);
          }
        }
      }

      @Override
      public void trim(long kept) {
        giveBack(kept, region.byteSize() - kept);
      }

      @Override
      public void release() {
        freeOnHost(region);
      }

      private static long pagesOf(long end) {
        return Math.ceilDiv(end, PAGE_BYTES);
      }
    };
  }

  @Override
  public Scratch scratch() {
    return scratch;
  }

  @Override
  public MemorySegment allocateOnHost(long bytes) {
    return hostMemory(bytes);
  }

  @Override
  public void freeOnHost(MemorySegment segment) {
    memory.remove(segment).close();
  }

  /** As late as it may be. */
  @Override
  public Runnable bring(MemorySegment to, MemorySegment from) {
    to.fill((byte) 0xFF);
    return () -> upload(to, from);
  }

  /** As late as it may be. */
  @Override
  public BooleanSupplier take(MemorySegment to, MemorySegment from) {
    to.fill((byte) 0xFF);
    return () -> {
      download(to, from);
      return true;
    };
  }

  @Override
  public void clear(MemorySegment segment) {
    segment.fill((byte) 0);
  }

  @Override
  public void upload(MemorySegment to, MemorySegment from) {
    MemorySegment.copy(from, 0, to, 0, from.byteSize());
  }

  @Override
  public void download(MemorySegment to, MemorySegment from) {
    MemorySegment.copy(from, 0, to, 0, to.byteSize());
  }

  @Override
  public void launch(Kernel kernel, long blocks, Object... arguments) {
    synchronized (LIBRARIES) { // a library's coroutines are one thread's at a time
      SymbolLookup library =
          LIBRARIES.computeIfAbsent(
              List.of(kernel.file(), kernel.to(), kernel.from()),
              key -> compile(kernel.file(), kernel.to(), kernel.from()));
      MethodHandle function =
          Linker.nativeLinker()
              .downcallHandle(
                  library.findOrThrow("simulated_" + kernel.name()),
                  FunctionDescriptor.ofVoid(ADDRESS, JAVA_LONG, JAVA_INT));
      try (Arena arena = Arena.ofConfined()) {
        function.invoke(KernelArguments.of(arena, arguments), blocks, BLOCK_THREADS);
      } catch (Throwable e) {
        throw new IllegalStateException(kernel + " can't be run", e);
      }
    }
  }

  private static SymbolLookup compile(String file, DType to, DType from) {
    try {
      String kernels = KernelSources.of(file);
      StringBuilder source = new StringBuilder(simulation()).append(kernels);
      ENTRY
          .matcher(kernels)
          .results()
          .forEach(entry -> source.append("SIMULATED(").append(entry.group(1)).append(")\n"));
      return HostCompiler.library(
          file + ".cu",
          source.toString(),
          "-ffp-contract=off",
          "-DTHREADS=" + BLOCK_THREADS,
          "-DTO=" + Kernel.nameOf(to),
          "-DFROM=" + Kernel.nameOf(from));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String simulation() throws IOException {
    try (InputStream in = SimulatedDevice.class.getResourceAsStream("/cuda/simulation.h")) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  @Override
  public void synchronize() {}

  public boolean isClosed() {
    return closed;
  }

  @Override
  public void close() {
    if (closed) {
      throw new IllegalStateException("closed twice");
    }
    closed = true;
    scratch.close();
  }
}
