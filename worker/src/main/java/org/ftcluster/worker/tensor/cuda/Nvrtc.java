package org.ftcluster.worker.tensor.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import org.ftcluster.worker.tensor.NativeException;
import org.ftcluster.worker.tensor.NativeFunction;
import org.ftcluster.worker.tensor.NativeLibraries;
import org.ftcluster.worker.tensor.NativeLibrary;

/** NVIDIA's run-time compiler of CUDA C; it needs no GPU. */
public final class Nvrtc {
  /** System property that names {@code libnvrtc.so}; the environment's variable does as well. */
  public static final String PROPERTY = "ftcluster.nvrtc.library";

  public static final String VARIABLE = "FTCLUSTER_NVRTC_LIBRARY";

  private final NativeFunction version;
  private final NativeFunction createProgram;
  private final NativeFunction compileProgram;
  private final NativeFunction destroyProgram;
  private final NativeFunction errorString;
  private final NativeLibrary library;

  private Nvrtc(NativeLibrary library) {
    this.library = library;
    version = library.function("nvrtcVersion", ADDRESS, ADDRESS);
    createProgram =
        library.function(
            "nvrtcCreateProgram", ADDRESS, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS);
    compileProgram = library.function("nvrtcCompileProgram", ADDRESS, JAVA_INT, ADDRESS);
    destroyProgram = library.function("nvrtcDestroyProgram", ADDRESS);
    errorString = library.function("nvrtcGetErrorString", FunctionDescriptor.of(ADDRESS, JAVA_INT));
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
      call(version, numbers, numbers.asSlice(JAVA_INT.byteSize()));
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
      call(
          createProgram, cell, arena.allocateFrom(source), arena.allocateFrom(name), 0, none, none);
      MemorySegment program = cell.get(ADDRESS, 0);
      try {
        MemorySegment all = arena.allocate(ADDRESS, options.size() + 1L);
        all.setAtIndex(ADDRESS, 0, arena.allocateFrom("--gpu-architecture=" + architecture));
        for (int i = 0; i < options.size(); i++) {
          all.setAtIndex(ADDRESS, i + 1L, arena.allocateFrom(options.get(i)));
        }
        int result = compileProgram.call(program, options.size() + 1, all);
        if (result != 0) {
          throw new NativeException(
              "%s can't be compiled for %s: %s\n%s"
                  .formatted(name, architecture, errorString.text(result), log(arena, program)));
        }
        return bytes(arena, output.function, program).toArray(JAVA_BYTE);
      } finally {
        call(destroyProgram, cell);
      }
    }
  }

  private String log(Arena arena, MemorySegment program) {
    return bytes(arena, "nvrtcGetProgramLog", program).getString(0).strip();
  }

  /** What a pair of functions gives: {@code FUNCTIONSize}, and the thing itself. */
  private MemorySegment bytes(Arena arena, String function, MemorySegment program) {
    MemorySegment size = arena.allocate(JAVA_LONG);
    call(library.function(function + "Size", ADDRESS, ADDRESS), program, size);
    MemorySegment bytes = arena.allocate(Math.max(1, size.get(JAVA_LONG, 0)));
    call(library.function(function, ADDRESS, ADDRESS), program, bytes);
    return bytes;
  }

  private void call(NativeFunction function, Object... arguments) {
    int result = function.call(arguments);
    if (result != 0) {
      throw new NativeException(
          "%s failed: %s (%d)".formatted(function.name(), errorString.text(result), result));
    }
  }
}
