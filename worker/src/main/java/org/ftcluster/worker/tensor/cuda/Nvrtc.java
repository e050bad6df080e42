package org.ftcluster.worker.tensor.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
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
import org.ftcluster.worker.tensor.NativeException;
import org.ftcluster.worker.tensor.NativeLibraries;

/** NVIDIA's run-time compiler of CUDA C; it needs no GPU. */
public final class Nvrtc {
  /** System property that names {@code libnvrtc.so}; the environment's variable does as well. */
  public static final String PROPERTY = "ftcluster.nvrtc.library";

  public static final String VARIABLE = "FTCLUSTER_NVRTC_LIBRARY";

  private static final int TEXT_BYTES = 1 << 12;

  private final MethodHandle version;
  private final MethodHandle createProgram;
  private final MethodHandle compileProgram;
  private final MethodHandle destroyProgram;
  private final MethodHandle getErrorString;
  private final SymbolLookup library;

  private Nvrtc(SymbolLookup library) {
    this.library = library;
    version = find("nvrtcVersion", ADDRESS, ADDRESS);
    createProgram =
        find("nvrtcCreateProgram", ADDRESS, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS);
    compileProgram = find("nvrtcCompileProgram", ADDRESS, JAVA_INT, ADDRESS);
    destroyProgram = find("nvrtcDestroyProgram", ADDRESS);
    getErrorString = link("nvrtcGetErrorString", FunctionDescriptor.of(ADDRESS, JAVA_INT));
  }

  /** Opens it: where a setting says, beside libtorch, or in the system; nothing where it isn't. */
  public static Optional<Nvrtc> open() {
    return new NativeLibraries(
            List.of("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"), PROPERTY, VARIABLE)
        .open()
        .map(Nvrtc::new);
  }

  /** As {@code 13.2}. */
  public String version() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment numbers = arena.allocate(JAVA_INT, 2);
      check("nvrtcVersion", call(version, numbers, numbers.asSlice(JAVA_INT.byteSize())));
      return numbers.getAtIndex(JAVA_INT, 0) + "." + numbers.getAtIndex(JAVA_INT, 1);
    }
  }

  /** What a program is compiled to. */
  public enum Output {
    /** A text that any driver of the same or a later version of CUDA compiles to its end. */
    PTX("nvrtcGetPTX"),
    /** Code of one architecture. */
    CUBIN("nvrtcGetCUBIN");

    private final String function;

    Output(String function) {
      this.function = function;
    }
  }

  /**
   * Compiles a program.
   *
   * @param name what messages call it
   * @param architecture such as {@code sm_90}
   * @throws NativeException with the compiler's messages, where it isn't valid CUDA C
   */
  public byte[] compile(
      String name, String source, String architecture, List<String> options, Output output) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment cell = arena.allocate(ADDRESS);
      MemorySegment none = MemorySegment.NULL;
      check(
          "nvrtcCreateProgram",
          call(
              createProgram,
              cell,
              arena.allocateFrom(source),
              arena.allocateFrom(name),
              0,
              none,
              none));
      MemorySegment program = cell.get(ADDRESS, 0);
      try {
        MemorySegment all = arena.allocate(ADDRESS, options.size() + 1L);
        all.setAtIndex(ADDRESS, 0, arena.allocateFrom("--gpu-architecture=" + architecture));
        for (int i = 0; i < options.size(); i++) {
          all.setAtIndex(ADDRESS, i + 1L, arena.allocateFrom(options.get(i)));
        }
        int result = call(compileProgram, program, options.size() + 1, all);
        if (result != 0) {
          throw new NativeException(
              "%s can't be compiled for %s: %s\n%s"
                  .formatted(name, architecture, describe(result), log(arena, program)));
        }
        return bytes(arena, output.function, program).toArray(JAVA_BYTE);
      } finally {
        check("nvrtcDestroyProgram", call(destroyProgram, cell));
      }
    }
  }

  private String log(Arena arena, MemorySegment program) {
    return bytes(arena, "nvrtcGetProgramLog", program).getString(0).strip();
  }

  /** What a pair of functions gives: {@code FUNCTIONSize}, and the thing itself. */
  private MemorySegment bytes(Arena arena, String function, MemorySegment program) {
    MemorySegment size = arena.allocate(JAVA_LONG);
    check(function, call(find(function + "Size", ADDRESS, ADDRESS), program, size));
    MemorySegment bytes = arena.allocate(Math.max(1, size.get(JAVA_LONG, 0)));
    check(function, call(find(function, ADDRESS, ADDRESS), program, bytes));
    return bytes;
  }

  private MethodHandle find(String name, MemoryLayout... arguments) {
    return link(name, FunctionDescriptor.of(JAVA_INT, arguments));
  }

  private MethodHandle link(String name, FunctionDescriptor descriptor) {
    MemorySegment symbol =
        library.find(name).orElseThrow(() -> new NativeException("libnvrtc has no " + name));
    return Linker.nativeLinker().downcallHandle(symbol, descriptor);
  }

  private void check(String function, int result) {
    if (result != 0) {
      throw new NativeException("%s failed: %s (%d)".formatted(function, describe(result), result));
    }
  }

  private String describe(int result) {
    try {
      MemorySegment text = (MemorySegment) getErrorString.invokeWithArguments(result);
      return text.reinterpret(TEXT_BYTES).getString(0);
    } catch (Throwable e) {
      throw new IllegalStateException("NVRTC can't be called", e);
    }
  }

  private static int call(MethodHandle function, Object... arguments) {
    try {
      return (int) function.invokeWithArguments(arguments);
    } catch (Throwable e) {
      throw new IllegalStateException("NVRTC can't be called", e);
    }
  }
}
