package org.ftcluster.worker.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;

/** The few functions of the C library that this package needs, on Linux. */
final class LibC {
  private static final int PROT_READ_WRITE = 1 | 2;
  private static final int MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x02 | 0x20 | 0x4000;
  private static final int MADV_WILLNEED = 3;
  private static final int MADV_DONTNEED = 4;
  private static final int MADV_HUGEPAGE = 14;
  private static final long MAP_FAILED = -1;
  private static final int STDERR = 2;

  private static final Linker LINKER = Linker.nativeLinker();
  private static final MethodHandle MMAP =
      find(
          "mmap",
          FunctionDescriptor.of(
              ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
  private static final MethodHandle MUNMAP =
      find("munmap", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG));
  private static final MethodHandle MADVISE =
      find("madvise", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT));
  private static final MethodHandle MEMFD_CREATE =
      find("memfd_create", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
  private static final MethodHandle DUP = find("dup", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
  private static final MethodHandle DUP2 =
      find("dup2", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT));
  private static final MethodHandle PREAD =
      find("pread", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG));
  private static final MethodHandle CLOSE =
      find("close", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
  private static final MethodHandle SETENV =
      find("setenv", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT));

  private LibC() {}

  /** Sets a variable of the process's environment for libraries that are loaded later. */
  static void setEnvironment(String name, String value) {
    try (Arena arena = Arena.ofConfined()) {
      int failed = (int) SETENV.invokeExact(arena.allocateFrom(name), arena.allocateFrom(value), 1);
      if (failed != 0) {
        throw new NativeException("setenv: can't set " + name);
      }
    } catch (Throwable e) {
      throw rethrow(e);
    }
  }

  private static MethodHandle find(String name, FunctionDescriptor descriptor) {
    return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), descriptor);
  }

  /** Reserves address space; a page takes memory once it is written. */
  static MemorySegment reserve(long bytes) {
    try {
      MemorySegment region =
          (MemorySegment)
              MMAP.invokeExact(
                  MemorySegment.NULL,
                  bytes,
                  PROT_READ_WRITE,
                  MAP_PRIVATE_ANONYMOUS_NORESERVE,
                  -1,
                  0L);
      if (region.address() == MAP_FAILED) {
        throw new NativeException(
            "mmap: can't reserve %d MiB of address space".formatted(bytes >> 20));
      }
      int ignored = (int) MADVISE.invokeExact(region, bytes, MADV_HUGEPAGE);
      return region.reinterpret(bytes);
    } catch (Throwable e) {
      throw rethrow(e);
    }
  }

  /**
   * Gives the pages of a region back: reserved ones read as zero afterwards, those of a file as
   * they were.
   */
  static void discard(MemorySegment region) {
    advise(region, MADV_DONTNEED);
  }

  /** Has the pages of a file read, and returns at once. */
  static void willNeed(MemorySegment region) {
    advise(region, MADV_WILLNEED);
  }

  private static void advise(MemorySegment region, int advice) {
    try {
      int ignored = (int) MADVISE.invokeExact(region, region.byteSize(), advice);
    } catch (Throwable e) {
      throw rethrow(e);
    }
  }

  static void release(MemorySegment region) {
    try {
      int ignored = (int) MUNMAP.invokeExact(region, region.byteSize());
    } catch (Throwable e) {
      throw rethrow(e);
    }
  }

  /**
   * Runs {@code action} with the process's standard error going to memory, and returns what was
   * written there.
   */
  static synchronized String captureStderr(Runnable action) {
    try (Arena arena = Arena.ofConfined()) {
      int memory = (int) MEMFD_CREATE.invokeExact(arena.allocateFrom("stderr"), 0);
      int saved = (int) DUP.invokeExact(STDERR);
      if (memory < 0 || saved < 0) {
        return "";
      }
      int ignored = (int) DUP2.invokeExact(memory, STDERR);
      try {
        action.run();
      } finally {
        ignored = (int) DUP2.invokeExact(saved, STDERR);
      }
      MemorySegment text = arena.allocate(64 << 10);
      long length = (long) PREAD.invokeExact(memory, text, text.byteSize(), 0L);
      ignored = (int) CLOSE.invokeExact(saved);
      ignored = (int) CLOSE.invokeExact(memory);
      return new String(
          text.asSlice(0, Math.max(0, length)).toArray(java.lang.foreign.ValueLayout.JAVA_BYTE),
          StandardCharsets.UTF_8);
    } catch (Throwable e) {
      throw rethrow(e);
    }
  }

  private static RuntimeException rethrow(Throwable e) {
    switch (e) {
      case RuntimeException runtime -> throw runtime;
      case Error error -> throw error;
      default -> throw new NativeException("a call into the C library failed", e);
    }
  }
}
