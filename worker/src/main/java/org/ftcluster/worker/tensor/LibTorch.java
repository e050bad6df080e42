package org.ftcluster.worker.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import ai.djl.pytorch.jni.LibUtils;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * libtorch's stable C functions ({@code torch/csrc/inductor/aoti_torch/c/shim.h} of 2.7 or newer),
 * bound on the very library that DJL loaded, or on the one in the folder that {@link
 * LibTorchFolder} names, such as PyTorch's own: one declaration a symbol. A function answers 0, or
 * 1 after a C++ exception whose text went to standard error.
 */
final class LibTorch {
  private static final String LIBRARY = "libtorch_cpu.so";

  private static final Linker LINKER = Linker.nativeLinker();
  private static final SymbolLookup LOOKUP = load();

  static final MethodHandle CREATE_TENSOR_FROM_BLOB =
      status(
          "aoti_torch_create_tensor_from_blob",
          ADDRESS,
          JAVA_LONG,
          ADDRESS,
          ADDRESS,
          JAVA_LONG,
          JAVA_INT,
          JAVA_INT,
          JAVA_INT,
          ADDRESS);
  static final MethodHandle EMPTY_STRIDED =
      status(
          "aoti_torch_empty_strided",
          JAVA_LONG,
          ADDRESS,
          ADDRESS,
          JAVA_INT,
          JAVA_INT,
          JAVA_INT,
          ADDRESS);
  static final MethodHandle DELETE_TENSOR = status("aoti_torch_delete_tensor_object", ADDRESS);
  static final MethodHandle GET_DATA_PTR = status("aoti_torch_get_data_ptr", ADDRESS, ADDRESS);
  static final MethodHandle GET_DIM = status("aoti_torch_get_dim", ADDRESS, ADDRESS);
  static final MethodHandle GET_SIZES = status("aoti_torch_get_sizes", ADDRESS, ADDRESS);
  static final MethodHandle GET_STRIDES = status("aoti_torch_get_strides", ADDRESS, ADDRESS);
  static final MethodHandle GET_DTYPE = status("aoti_torch_get_dtype", ADDRESS, ADDRESS);
  static final MethodHandle GRAD_MODE_SET_ENABLED =
      LINKER.downcallHandle(
          LOOKUP.findOrThrow("aoti_torch_grad_mode_set_enabled"),
          FunctionDescriptor.ofVoid(ValueLayout.JAVA_BOOLEAN));
  static final MethodHandle COPY = status("aoti_torch_copy_", ADDRESS, ADDRESS, JAVA_INT);
  static final MethodHandle MM_OUT = status("aoti_torch_cpu_mm_out", ADDRESS, ADDRESS, ADDRESS);
  static final MethodHandle ADDMM_OUT =
      status(
          "aoti_torch_cpu_addmm_out", ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_DOUBLE, JAVA_DOUBLE);
  static final MethodHandle FLASH_ATTENTION =
      status(
          "aoti_torch_cpu__scaled_dot_product_flash_attention_for_cpu",
          ADDRESS,
          ADDRESS,
          ADDRESS,
          JAVA_DOUBLE,
          JAVA_INT,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS);
  static final MethodHandle FLASH_ATTENTION_BACKWARD =
      status(
          "aoti_torch_cpu__scaled_dot_product_flash_attention_for_cpu_backward",
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          JAVA_DOUBLE,
          JAVA_INT,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS);

  /** {@code at::set_num_threads(int)}; OpenMP keeps the number for each calling thread. */
  static final MethodHandle SET_NUM_THREADS =
      LINKER.downcallHandle(
          LOOKUP.findOrThrow("_ZN2at15set_num_threadsEi"), FunctionDescriptor.ofVoid(JAVA_INT));

  /** A native call that answers a status. */
  @FunctionalInterface
  interface Call {
    int invoke() throws Throwable;
  }

  private LibTorch() {}

  /**
   * A product belongs to the thread that calls it. OpenMP would give each new thread as many as
   * there are processors, and MKL's sums depend on how many share them; what {@code
   * at::set_num_threads} says counts for the calling thread alone. Both libraries read these when
   * they are loaded.
   *
   * @throws NativeException when a setting names a folder without libtorch, or one that can't be
   *     loaded
   */
  private static SymbolLookup load() {
    LibC.setEnvironment("OMP_NUM_THREADS", "1");
    LibC.setEnvironment("MKL_NUM_THREADS", "1");
    LibTorchFolder.Setting setting = LibTorchFolder.setting();
    if (setting == null) {
      LibUtils.loadLibrary();
    }
    Path library = folder().resolve(LIBRARY);
    if (setting != null && !Files.isRegularFile(library)) {
      throw new NativeException(
          "there is no %s in %s, which %s names as libtorch's folder"
              .formatted(LIBRARY, setting.folder(), setting.by()));
    }
    try {
      return SymbolLookup.libraryLookup(library, Arena.global());
    } catch (IllegalArgumentException e) {
      throw new NativeException("%s can't be loaded".formatted(library), e);
    }
  }

  /** Where libtorch's libraries are. */
  static Path folder() {
    LibTorchFolder.Setting setting = LibTorchFolder.setting();
    return Path.of(setting != null ? setting.folder() : LibUtils.getLibtorchPath());
  }

  /** A function that not every libtorch has. */
  static Optional<MemorySegment> find(String name) {
    return LOOKUP.find(name);
  }

  private static MethodHandle status(String name, MemoryLayout... arguments) {
    return LINKER.downcallHandle(
        LOOKUP.findOrThrow(name), FunctionDescriptor.of(JAVA_INT, arguments));
  }

  /**
   * Runs {@code call}; after a failure runs it once more with standard error captured, since that
   * is the only place where this libtorch leaves an exception's text. The functions bound here
   * check their arguments before they write anything.
   */
  static void check(String operation, Call call) {
    if (invoke(operation, call) == 0) {
      return;
    }
    String text = LibC.captureStderr(() -> invoke(operation, call));
    throw new NativeException(operation + ": " + firstSentence(text));
  }

  /** The status that it answers. */
  static int invoke(String operation, Call call) {
    try {
      return call.invoke();
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new NativeException(operation + ": the native call could not be made", e);
    }
  }

  /**
   * libtorch logs {@code [W... shim.cpp:99] Exception in aoti_torch: TEXT}, then a C++ stack trace.
   */
  private static String firstSentence(String log) {
    String marker = "aoti_torch: ";
    int start = log.indexOf(marker);
    String text = start < 0 ? log : log.substring(start + marker.length());
    int trace = text.indexOf("\nException raised from");
    text = (trace < 0 ? text : text.substring(0, trace)).strip();
    return text.isEmpty() ? "failed, and libtorch said nothing" : text;
  }

  static MemorySegment longs(Arena arena, long[] values) {
    return arena.allocateFrom(JAVA_LONG, values);
  }
}
