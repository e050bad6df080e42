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
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.KernelArguments;
import org.ftcluster.worker.tensor.Reserve;
import org.ftcluster.worker.tensor.Scratch;
import org.junit.jupiter.api.Assumptions;

/**
 * An accelerator without a GPU: the very sources of the kernels, compiled by the host's C++
 * compiler with {@code simulation.h} in place of CUDA, over the host's memory. Products are
 * libtorch's, on the CPU.
 */
public final class SimulatedDevice implements Accelerator {
  /** Few, since they take turns; two warps at least, to have them work together. */
  private static final int BLOCK_THREADS = 64;

  private static final Pattern ENTRY = Pattern.compile("extern \"C\" __global__ void (\\w+)\\(");
  private static final Map<List<Object>, SymbolLookup> LIBRARIES = new HashMap<>();

  private final Scratch scratch = new Scratch(this);
  private final Map<MemorySegment, Arena> memory = new HashMap<>();

  /** One of them; the test that asks is skipped where there is no compiler. */
  public static SimulatedDevice open() {
    Assumptions.assumeTrue(
        run(Path.of("."), "g++", "--version") == 0,
        "kernels are simulated by g++, which isn't here");
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

  @Override
  public long freeBytes() {
    return 1L << 30;
  }

  @Override
  public MemorySegment allocate(long bytes) {
    Arena arena = Arena.ofShared();
    MemorySegment segment = arena.allocate(bytes, 64);
    segment.asSlice(0, Math.min(bytes, 1 << 20)).fill((byte) 0xFF); // NaN, to be seen if it is read
    memory.put(segment, arena);
    return segment;
  }

  @Override
  public void free(MemorySegment segment) {
    memory.remove(segment).close();
  }

  @Override
  public Reserve reserve(long bytes) {
    MemorySegment region = allocate(64 << 20);
    return new Reserve() {
      @Override
      public MemorySegment region() {
        return region;
      }

      @Override
      public void reach(long reached) {}

      @Override
      public void trim(long kept) {}

      @Override
      public void release() {
        free(region);
      }
    };
  }

  @Override
  public Scratch scratch() {
    return scratch;
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

  private static SymbolLookup compile(String file, DType to, DType from) {
    try {
      Path folder = Files.createTempDirectory("kernels");
      String kernels = KernelSources.of(file);
      StringBuilder source = new StringBuilder(simulation()).append(kernels);
      ENTRY
          .matcher(kernels)
          .results()
          .forEach(entry -> source.append("SIMULATED(").append(entry.group(1)).append(")\n"));
      Files.writeString(folder.resolve("kernels.cpp"), source);
      int result =
          run(
              folder,
              "g++",
              "-std=c++17",
              "-O1",
              "-ffp-contract=off",
              "-shared",
              "-fPIC",
              "-DTHREADS=" + BLOCK_THREADS,
              "-DTO=" + Kernel.nameOf(to),
              "-DFROM=" + Kernel.nameOf(from),
              "kernels.cpp",
              "-o",
              "kernels.so");
      if (result != 0) {
        throw new IllegalStateException(file + ".cu isn't C++ that g++ compiles");
      }
      SymbolLookup library =
          SymbolLookup.libraryLookup(folder.resolve("kernels.so"), Arena.global());
      for (String written : List.of("kernels.cpp", "kernels.so")) {
        Files.delete(folder.resolve(written));
      }
      Files.delete(folder);
      return library;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String simulation() throws IOException {
    try (InputStream in = SimulatedDevice.class.getResourceAsStream("/cuda/simulation.h")) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  private static int run(Path folder, String... command) {
    try {
      Process process =
          new ProcessBuilder(command)
              .directory(folder.toFile())
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      if (!process.waitFor(60, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        return -1;
      }
      return process.exitValue();
    } catch (IOException e) {
      return -1;
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void synchronize() {}

  @Override
  public void close() {
    scratch.close();
  }
}
