package org.ftcluster.worker.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import ai.djl.util.Utils;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Properties;

/**
 * oneDNN's C functions ({@code oneapi/dnnl/dnnl.h} of version 3), one declaration a symbol; each
 * answers 0 or what went wrong. The library is taken from the class path, to where DJL keeps its
 * own.
 */
final class OneDnnLibrary {
  /** Where the class path has it. */
  static final String RESOURCE = "/org/bytedeco/dnnl/linux-x86_64/libdnnl.so.3";

  private static final String PROPERTIES = "/META-INF/maven/org.bytedeco/dnnl/pom.properties";

  /** The library itself looks for it beside itself. */
  private static final String OPEN_MP = "/org/bytedeco/dnnl/linux-x86_64/libgomp.so.1";

  private static final SymbolLookup LOOKUP = load();

  static final MethodHandle ENGINE_CREATE =
      status("dnnl_engine_create", ADDRESS, JAVA_INT, JAVA_LONG);
  static final MethodHandle STREAM_CREATE =
      status("dnnl_stream_create", ADDRESS, ADDRESS, JAVA_INT);
  static final MethodHandle STREAM_WAIT = status("dnnl_stream_wait", ADDRESS);
  static final MethodHandle STREAM_DESTROY = status("dnnl_stream_destroy", ADDRESS);
  static final MethodHandle MEMORY_DESC_CREATE =
      status("dnnl_memory_desc_create_with_strides", ADDRESS, JAVA_INT, ADDRESS, JAVA_INT, ADDRESS);
  static final MethodHandle MEMORY_DESC_DESTROY = status("dnnl_memory_desc_destroy", ADDRESS);
  static final MethodHandle ATTR_CREATE = status("dnnl_primitive_attr_create", ADDRESS);
  static final MethodHandle ATTR_SET_SCRATCHPAD_MODE =
      status("dnnl_primitive_attr_set_scratchpad_mode", ADDRESS, JAVA_INT);
  static final MethodHandle ATTR_SET_POST_OPS =
      status("dnnl_primitive_attr_set_post_ops", ADDRESS, ADDRESS);
  static final MethodHandle ATTR_DESTROY = status("dnnl_primitive_attr_destroy", ADDRESS);
  static final MethodHandle POST_OPS_CREATE = status("dnnl_post_ops_create", ADDRESS);
  static final MethodHandle POST_OPS_APPEND_SUM =
      status("dnnl_post_ops_append_sum", ADDRESS, JAVA_FLOAT, JAVA_INT, JAVA_INT);
  static final MethodHandle POST_OPS_DESTROY = status("dnnl_post_ops_destroy", ADDRESS);
  static final MethodHandle MATMUL_DESC_CREATE =
      status(
          "dnnl_matmul_primitive_desc_create",
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS);
  static final MethodHandle PRIMITIVE_DESC_DESTROY = status("dnnl_primitive_desc_destroy", ADDRESS);
  static final MethodHandle PRIMITIVE_CREATE = status("dnnl_primitive_create", ADDRESS, ADDRESS);
  static final MethodHandle PRIMITIVE_EXECUTE =
      status("dnnl_primitive_execute", ADDRESS, ADDRESS, JAVA_INT, ADDRESS);
  static final MethodHandle PRIMITIVE_DESTROY = status("dnnl_primitive_destroy", ADDRESS);
  static final MethodHandle MEMORY_CREATE =
      status("dnnl_memory_create", ADDRESS, ADDRESS, ADDRESS, ADDRESS);
  static final MethodHandle MEMORY_SET_HANDLE =
      status("dnnl_memory_set_data_handle", ADDRESS, ADDRESS);
  static final MethodHandle MEMORY_DESTROY = status("dnnl_memory_destroy", ADDRESS);

  /** {@code dnnl_primitive_desc_query_md(desc, what, index)}: a description, which is its own. */
  static final MethodHandle QUERY_MEMORY_DESC =
      bind(
          "dnnl_primitive_desc_query_md",
          FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT, JAVA_INT));

  static final MethodHandle MEMORY_DESC_SIZE =
      bind("dnnl_memory_desc_get_size", FunctionDescriptor.of(JAVA_LONG, ADDRESS));

  private static final int CPU = 1;

  /** What everything is made for; any thread may use it. */
  static final MemorySegment ENGINE =
      created("dnnl_engine_create", cell -> (int) ENGINE_CREATE.invokeExact(cell, CPU, 0L));

  private OneDnnLibrary() {}

  /** Answers a status, having written the handle of what it made. */
  @FunctionalInterface
  interface Maker {
    int make(MemorySegment cell) throws Throwable;
  }

  /** The handle of what a function made. */
  static MemorySegment created(String function, Maker maker) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment cell = arena.allocate(ADDRESS);
      check(function, () -> maker.make(cell));
      return cell.get(ADDRESS, 0);
    }
  }

  /**
   * @throws NativeException when it answers anything but 0
   */
  static void check(String function, LibTorch.Call call) {
    int status = LibTorch.invoke(function, call);
    if (status != 0) {
      throw new NativeException("oneDNN: %s answered %d".formatted(function, status));
    }
  }

  private static MethodHandle status(String name, MemoryLayout... arguments) {
    return bind(name, FunctionDescriptor.of(JAVA_INT, arguments));
  }

  private static MethodHandle bind(String name, FunctionDescriptor function) {
    return Linker.nativeLinker().downcallHandle(LOOKUP.findOrThrow(name), function);
  }

  /** Its OpenMP has one thread, as {@link LibTorch} says when that is loaded, which comes first. */
  private static SymbolLookup load() {
    Path cache = Utils.getCacheDir();
    try {
      Path folder = cache.resolve("onednn").resolve(version());
      extract(OPEN_MP, folder);
      return SymbolLookup.libraryLookup(extract(RESOURCE, folder), Arena.global());
    } catch (IOException e) {
      throw new NativeException("it can't be unpacked into %s (%s)".formatted(cache, e), e);
    }
  }

  private static String version() throws IOException {
    Properties properties = new Properties();
    try (InputStream from = resource(PROPERTIES)) {
      properties.load(from);
    }
    return properties.getProperty("version");
  }

  /** Several processes may do so at once: each moves a whole file there. */
  private static Path extract(String resource, Path folder) throws IOException {
    String name = resource.substring(resource.lastIndexOf('/') + 1);
    Path file = folder.resolve(name);
    if (Files.exists(file)) {
      return file;
    }
    Files.createDirectories(folder);
    Path aside = Files.createTempFile(folder, name, ".part");
    try {
      try (InputStream from = resource(resource)) {
        Files.copy(from, aside, StandardCopyOption.REPLACE_EXISTING);
      }
      try (FileChannel channel = FileChannel.open(aside, StandardOpenOption.WRITE)) {
        channel.force(true);
      }
      return Files.move(aside, file, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(aside);
    }
  }

  private static InputStream resource(String name) throws IOException {
    InputStream stream = OneDnnLibrary.class.getResourceAsStream(name);
    if (stream == null) {
      throw new IOException("the class path has no " + name);
    }
    return stream;
  }
}
