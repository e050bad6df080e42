package org.ftcluster.worker.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.ftcluster.worker.tensor.OneDnnLibrary.check;
import static org.ftcluster.worker.tensor.OneDnnLibrary.created;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.List;

/**
 * How oneDNN makes products of a shape; used by one thread at a time.
 *
 * @param memories of factors, result and scratch, whose places are told before each use
 * @param arguments the same with what each stands for
 * @param arena where these are
 * @param scratchBytes that it takes besides
 */
record OneDnnProduct(
    MemorySegment primitive,
    List<MemorySegment> memories,
    MemorySegment arguments,
    Arena arena,
    long scratchBytes) {
  private static final int IN_ORDER = 1;
  private static final int BFLOAT16 = 2;
  private static final int SAME_TYPE = 0;
  private static final int USER_SCRATCHPAD = 1;
  private static final int QUERY_SCRATCHPAD = 136;

  /** Source, weights, target, scratchpad. */
  private static final int[] ROLES = {1, 33, 17, 80};

  /** Of an argument: its role, and the memory's handle. */
  private static final int ARGUMENT_BYTES = 16;

  /** [m, k] by [k, n], with the strides of factors, and of the result's dense rows. */
  record Shape(
      long m,
      long k,
      long n,
      long aRow,
      long aColumn,
      long bRow,
      long bColumn,
      long outRow,
      boolean add) {
    static Shape of(Tensor out, Tensor a, Tensor b, boolean add) {
      return new Shape(
          out.size(0),
          a.size(1),
          out.size(1),
          a.stride(0),
          a.stride(1),
          b.stride(0),
          b.stride(1),
          out.stride(0),
          add);
    }
  }

  /** Generates code, which takes milliseconds. */
  static OneDnnProduct of(Shape s) {
    try (Arena temporary = Arena.ofConfined()) {
      MemorySegment a = description(temporary, s.m(), s.k(), s.aRow(), s.aColumn());
      MemorySegment b = description(temporary, s.k(), s.n(), s.bRow(), s.bColumn());
      MemorySegment out = description(temporary, s.m(), s.n(), s.outRow(), 1);
      MemorySegment attributes = attributes(s.add());
      MemorySegment description =
          created(
              "dnnl_matmul_primitive_desc_create",
              cell ->
                  (int)
                      OneDnnLibrary.MATMUL_DESC_CREATE.invokeExact(
                          cell, OneDnnLibrary.ENGINE, a, b, MemorySegment.NULL, out, attributes));
      OneDnnProduct product = of(description, a, b, out);
      check(
          "dnnl_primitive_desc_destroy",
          () -> (int) OneDnnLibrary.PRIMITIVE_DESC_DESTROY.invokeExact(description));
      check(
          "dnnl_primitive_attr_destroy",
          () -> (int) OneDnnLibrary.ATTR_DESTROY.invokeExact(attributes));
      for (MemorySegment matrix : List.of(a, b, out)) {
        check(
            "dnnl_memory_desc_destroy",
            () -> (int) OneDnnLibrary.MEMORY_DESC_DESTROY.invokeExact(matrix));
      }
      return product;
    }
  }

  private static OneDnnProduct of(
      MemorySegment description, MemorySegment a, MemorySegment b, MemorySegment out) {
    MemorySegment scratch = scratch(description);
    List<MemorySegment> memories = List.of(memory(a), memory(b), memory(out), memory(scratch));
    Arena arena = Arena.ofShared();
    MemorySegment arguments = arena.allocate((long) ROLES.length * ARGUMENT_BYTES, ARGUMENT_BYTES);
    for (int i = 0; i < ROLES.length; i++) {
      MemorySegment argument = arguments.asSlice((long) i * ARGUMENT_BYTES);
      argument.set(JAVA_INT, 0, ROLES[i]);
      argument.set(ADDRESS, ADDRESS.byteSize(), memories.get(i));
    }
    MemorySegment primitive =
        created(
            "dnnl_primitive_create",
            cell -> (int) OneDnnLibrary.PRIMITIVE_CREATE.invokeExact(cell, description));
    return new OneDnnProduct(primitive, memories, arguments, arena, bytes(scratch));
  }

  /**
   * Multiplies what is at these places.
   *
   * @param scratch of as many bytes as it takes
   */
  void run(
      MemorySegment stream,
      MemorySegment a,
      MemorySegment b,
      MemorySegment out,
      MemorySegment scratch) {
    place(memories.get(0), a);
    place(memories.get(1), b);
    place(memories.get(2), out);
    place(memories.get(3), scratch);
    check(
        "dnnl_primitive_execute",
        () ->
            (int)
                OneDnnLibrary.PRIMITIVE_EXECUTE.invokeExact(
                    primitive, stream, ROLES.length, arguments));
    check("dnnl_stream_wait", () -> (int) OneDnnLibrary.STREAM_WAIT.invokeExact(stream));
  }

  void destroy() {
    check(
        "dnnl_primitive_destroy",
        () -> (int) OneDnnLibrary.PRIMITIVE_DESTROY.invokeExact(primitive));
    for (MemorySegment memory : memories) {
      check("dnnl_memory_destroy", () -> (int) OneDnnLibrary.MEMORY_DESTROY.invokeExact(memory));
    }
    arena.close();
  }

  /** What a thread's products run on. */
  static MemorySegment stream() {
    return created(
        "dnnl_stream_create",
        cell ->
            (int) OneDnnLibrary.STREAM_CREATE.invokeExact(cell, OneDnnLibrary.ENGINE, IN_ORDER));
  }

  static void destroyStream(MemorySegment stream) {
    check("dnnl_stream_destroy", () -> (int) OneDnnLibrary.STREAM_DESTROY.invokeExact(stream));
  }

  private static MemorySegment attributes(boolean add) {
    MemorySegment attributes =
        created(
            "dnnl_primitive_attr_create",
            cell -> (int) OneDnnLibrary.ATTR_CREATE.invokeExact(cell));
    // The library's own scratch would stay with the thread that made the product.
    check(
        "dnnl_primitive_attr_set_scratchpad_mode",
        () ->
            (int) OneDnnLibrary.ATTR_SET_SCRATCHPAD_MODE.invokeExact(attributes, USER_SCRATCHPAD));
    if (add) {
      MemorySegment sum =
          created(
              "dnnl_post_ops_create",
              cell -> (int) OneDnnLibrary.POST_OPS_CREATE.invokeExact(cell));
      check(
          "dnnl_post_ops_append_sum",
          () -> (int) OneDnnLibrary.POST_OPS_APPEND_SUM.invokeExact(sum, 1f, 0, SAME_TYPE));
      check(
          "dnnl_primitive_attr_set_post_ops",
          () -> (int) OneDnnLibrary.ATTR_SET_POST_OPS.invokeExact(attributes, sum));
      check("dnnl_post_ops_destroy", () -> (int) OneDnnLibrary.POST_OPS_DESTROY.invokeExact(sum));
    }
    return attributes;
  }

  /** Of a matrix of bfloat16. */
  private static MemorySegment description(
      SegmentAllocator allocator, long rows, long columns, long row, long column) {
    MemorySegment sizes = allocator.allocateFrom(JAVA_LONG, rows, columns);
    MemorySegment strides = allocator.allocateFrom(JAVA_LONG, row, column);
    return created(
        "dnnl_memory_desc_create_with_strides",
        cell ->
            (int) OneDnnLibrary.MEMORY_DESC_CREATE.invokeExact(cell, 2, sizes, BFLOAT16, strides));
  }

  /** The description of its scratch, which goes with its own. */
  private static MemorySegment scratch(MemorySegment description) {
    try {
      return (MemorySegment)
          OneDnnLibrary.QUERY_MEMORY_DESC.invokeExact(description, QUERY_SCRATCHPAD, 0);
    } catch (Throwable e) {
      throw new NativeException("oneDNN: dnnl_primitive_desc_query_md failed", e);
    }
  }

  private static long bytes(MemorySegment description) {
    try {
      return (long) OneDnnLibrary.MEMORY_DESC_SIZE.invokeExact(description);
    } catch (Throwable e) {
      throw new NativeException("oneDNN: dnnl_memory_desc_get_size failed", e);
    }
  }

  private static MemorySegment memory(MemorySegment description) {
    return created(
        "dnnl_memory_create",
        cell ->
            (int)
                OneDnnLibrary.MEMORY_CREATE.invokeExact(
                    cell, description, OneDnnLibrary.ENGINE, MemorySegment.NULL));
  }

  private static void place(MemorySegment memory, MemorySegment at) {
    check(
        "dnnl_memory_set_data_handle",
        () -> (int) OneDnnLibrary.MEMORY_SET_HANDLE.invokeExact(memory, at));
  }
}
