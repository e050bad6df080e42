package org.ftcluster.worker.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * libtorch's operators that training needs. Arguments are checked here: native code only sees what
 * it can take. Results go into tensors given by the caller ({@code out}), except where libtorch
 * allocates; those belong to the scope given.
 */
public final class Aten {
  static final int DEVICE_CPU = 0;

  /** Fewer rows or columns make a product slower than a thread of its own makes it faster. */
  private static final int LEAST_PART = 16;

  /** Of as many rows or columns, a part is about as fast as a larger one. */
  private static final int LARGE_PART = 256;

  /** Multiplications that take longer than waking another thread. */
  private static final long LEAST_SHARED_WORK = 1 << 21;

  /** Why it can't, once that is known: the JVM itself gives a reason the first time only. */
  private static volatile String unloaded = "libtorch can't be loaded";

  private Aten() {}

  /**
   * Loads libtorch, and oneDNN where it is used apart from it; libtorch's operators use one thread
   * from now on, and autograd's bookkeeping is off on the calling thread. How many threads take
   * part is {@link Parallel}'s matter.
   */
  public static void initialize() {
    try {
      LibTorch.GRAD_MODE_SET_ENABLED.invokeExact(false);
    } catch (NoClassDefFoundError e) {
      throw new NativeException(unloaded, e);
    } catch (LinkageError e) {
      Throwable cause = e instanceof ExceptionInInitializerError ? e.getCause() : e;
      unloaded = "libtorch: " + cause.getMessage();
      throw new NativeException(unloaded, e);
    } catch (Throwable e) {
      throw new NativeException("libtorch: grad mode can't be set", e);
    }
    setThreads(1);
    OneDnn.initialize();
  }

  /** The number is libtorch's, and OpenMP's and MKL's for the calling thread. */
  private static void setThreads(int threads) {
    try {
      LibTorch.SET_NUM_THREADS.invokeExact(threads);
    } catch (Throwable e) {
      throw new NativeException("libtorch: the number of threads can't be set", e);
    }
  }

  /** For operators whose work can't be shared out from here. */
  private static void onAllThreads(Runnable call) {
    setThreads(Parallel.threads());
    try {
      call.run();
    } finally {
      setThreads(1);
    }
  }

  /** {@code out = a b}; [m, n] = [m, k] [k, n], all of one type. */
  public static void mm(Tensor out, Tensor a, Tensor b) {
    checkProduct(out, a, b);
    if (OneDnn.takes(out, a, b)) {
      product(out, a, b, (o, x, y) -> OneDnn.multiply(o, x, y, false));
      return;
    }
    product(
        out,
        a,
        b,
        (o, x, y) -> {
          MemorySegment to = o.handle();
          MemorySegment first = x.handle();
          MemorySegment second = y.handle();
          LibTorch.check("mm", () -> (int) operators(out).mm().invokeExact(to, first, second));
        });
  }

  /** {@code out = beta out + alpha a b}. */
  public static void addmm(Tensor out, Tensor a, Tensor b, double beta, double alpha) {
    checkProduct(out, a, b);
    if (alpha == 1 && (beta == 0 || beta == 1) && OneDnn.takes(out, a, b)) {
      product(out, a, b, (o, x, y) -> OneDnn.multiply(o, x, y, beta == 1));
      return;
    }
    product(
        out,
        a,
        b,
        (o, x, y) -> {
          MemorySegment to = o.handle();
          MemorySegment first = x.handle();
          MemorySegment second = y.handle();
          LibTorch.check(
              "addmm",
              () -> (int) operators(out).addmm().invokeExact(to, to, first, second, beta, alpha));
        });
  }

  /** Those of libtorch's functions that are another for each kind of memory. */
  record Operators(MethodHandle mm, MethodHandle addmm) {
    static final Operators CPU = new Operators(LibTorch.MM_OUT, LibTorch.ADDMM_OUT);
  }

  private static Operators operators(Tensor tensor) {
    Accelerator accelerator = tensor.accelerator();
    return accelerator == null || accelerator.torchDeviceType() == DEVICE_CPU
        ? Operators.CPU
        : LibTorchCuda.PRODUCTS;
  }

  /** Of matrices, or of parts of them, whose handles are made already. */
  @FunctionalInterface
  private interface Product {
    void run(Tensor out, Tensor a, Tensor b);
  }

  /** Shares the rows or the columns of {@code out} out over the threads. */
  private static void product(Tensor out, Tensor a, Tensor b, Product product) {
    if (DryRun.isOn()) {
      return;
    }
    long start = Profile.begin();
    Accelerator accelerator = out.accelerator();
    if (accelerator == null) {
      productOfParts(out, a, b, product);
    } else {
      product.run(out, a, b);
    }
    if (Profile.isActive()) {
      if (accelerator != null) {
        accelerator.synchronize();
      }
      String shapes = "%d x %d x %d".formatted(a.size(0), a.size(1), b.size(1));
      Profile.ended("product " + shapes, start, 2.0 * a.elements() * b.size(1), 0);
    }
  }

  /**
   * Rows are cut where there are many: libtorch makes a form of its own of the second factor for
   * every part, which takes long beside few rows.
   */
  private static void productOfParts(Tensor out, Tensor a, Tensor b, Product product) {
    long rows = out.size(0);
    long columns = out.size(1);
    boolean worthwhile = (double) rows * a.size(1) * columns >= LEAST_SHARED_WORK;
    boolean byColumns = columns > rows && rows < 2L * Parallel.threads() * LARGE_PART;
    int parts = worthwhile ? parts(byColumns ? columns : rows) : 1;
    if (parts == 1) {
      product.run(out, a, b);
      return;
    }
    try (Scope looks = Scope.looks()) {
      Tensor[] outs = parts(looks, out, byColumns ? 1 : 0, parts);
      Tensor[] as = byColumns ? whole(a, parts) : parts(looks, a, 0, parts);
      Tensor[] bs = byColumns ? parts(looks, b, 1, parts) : whole(b, parts);
      Parallel.run(
          parts,
          1,
          (thread, from, to) -> {
            for (int part = from; part < to; part++) {
              product.run(outs[part], as[part], bs[part]);
            }
          });
    }
  }

  /** One for each thread, or two where they are large, so that a slow thread takes fewer. */
  private static int parts(long size) {
    int threads = Parallel.threads();
    return threads == 1
        ? 1
        : (int)
            Math.clamp(size / LARGE_PART, Math.clamp(size / LEAST_PART, 1, threads), 2 * threads);
  }

  private static Tensor[] whole(Tensor matrix, int parts) {
    matrix.handle();
    Tensor[] all = new Tensor[parts];
    Arrays.fill(all, matrix);
    return all;
  }

  /** Parts of about the same size; their handles are made here since scopes have one thread. */
  private static Tensor[] parts(Scope looks, Tensor matrix, int dimension, int parts) {
    Tensor[] all = new Tensor[parts];
    for (int part = 0; part < parts; part++) {
      long from = start(matrix.size(dimension), part, parts);
      long to = start(matrix.size(dimension), part + 1, parts);
      all[part] = matrix.slice(dimension, from, to).in(looks);
      all[part].handle();
    }
    return all;
  }

  /** Where a part begins; large ones at a cache line, where rows of the matrix do. */
  private static long start(long size, int part, int parts) {
    int step = size / parts >= LARGE_PART ? 32 : 1;
    return part == parts ? size : size * part / parts / step * step;
  }

  /** {@code to = from}, converting between types. */
  public static void copy(Tensor to, Tensor from) {
    if (!Arrays.equals(to.shape(), from.shape())) {
      throw new IllegalArgumentException("copy of %s to %s".formatted(from, to));
    }
    if (DryRun.isOn()) {
      return;
    }
    MemorySegment t = to.handle();
    MemorySegment f = from.handle();
    LibTorch.check("copy_", () -> (int) LibTorch.COPY.invokeExact(t, f, 0));
  }

  /**
   * What attention leaves.
   *
   * @param output [batch, heads, tokens, head size]; laid out as [batch, tokens, heads, head size]
   * @param logSumExp float32 [batch, heads, tokens], for the backward
   */
  public record Attention(Tensor output, Tensor logSumExp) {}

  /** Gradients of attention, shaped like what they are gradients of. */
  public record AttentionGradient(Tensor query, Tensor key, Tensor value) {}

  /**
   * {@code softmax(scale q kᵀ + mask) v} without holding the scores (arXiv:2307.08691).
   *
   * @param query [batch, heads, tokens, head size]; the last dimension is dense, others may have
   *     any stride, even 0
   * @param mask added to the scores, [tokens, tokens] of the query's type; or {@code null} for
   *     causal attention
   */
  public static Attention attention(
      Scope scope, Tensor query, Tensor key, Tensor value, @Nullable Tensor mask, double scale) {
    checkAttention(query, key, value, mask);
    if (DryRun.isOn()) {
      Tensor statistics = scope.empty(DType.FLOAT32, query.size(0), query.size(1), query.size(2));
      return new Attention(scope.empty(query.dtype(), query.shape()), statistics);
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment maskCell = optional(arena, mask);
      MemorySegment scaleCell = arena.allocateFrom(JAVA_DOUBLE, scale);
      MemorySegment results = arena.allocate(ADDRESS, 2);
      MemorySegment q = query.handle();
      MemorySegment k = key.handle();
      MemorySegment v = value.handle();
      long start = Profile.begin();
      onAllThreads(
          () ->
              LibTorch.check(
                  "scaled_dot_product_attention",
                  () ->
                      (int)
                          LibTorch.FLASH_ATTENTION.invokeExact(
                              q,
                              k,
                              v,
                              0.0,
                              mask == null ? 1 : 0,
                              maskCell,
                              scaleCell,
                              results,
                              results.asSlice(ADDRESS.byteSize()))));
      Profile.ended("attention", start, causalFlops(query, 4), 0);
      return new Attention(
          Tensor.ofHandle(scope, results.getAtIndex(ADDRESS, 0)),
          Tensor.ofHandle(scope, results.getAtIndex(ADDRESS, 1)));
    }
  }

  /** The backward of {@link #attention}, from the gradient of its output. */
  public static AttentionGradient attentionBackward(
      Scope scope,
      Tensor gradient,
      Tensor query,
      Tensor key,
      Tensor value,
      Attention forward,
      @Nullable Tensor mask,
      double scale) {
    checkAttention(query, key, value, mask);
    checkAttention(query, gradient, forward.output(), null);
    if (DryRun.isOn()) {
      return new AttentionGradient(
          scope.empty(query.dtype(), query.shape()),
          scope.empty(key.dtype(), key.shape()),
          scope.empty(value.dtype(), value.shape()));
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment maskCell = optional(arena, mask);
      MemorySegment scaleCell = arena.allocateFrom(JAVA_DOUBLE, scale);
      MemorySegment results = arena.allocate(ADDRESS, 3);
      MemorySegment g = gradient.handle();
      MemorySegment q = query.handle();
      MemorySegment k = key.handle();
      MemorySegment v = value.handle();
      MemorySegment o = forward.output().handle();
      MemorySegment l = forward.logSumExp().handle();
      long start = Profile.begin();
      onAllThreads(
          () ->
              LibTorch.check(
                  "scaled_dot_product_attention_backward",
                  () ->
                      (int)
                          LibTorch.FLASH_ATTENTION_BACKWARD.invokeExact(
                              g,
                              q,
                              k,
                              v,
                              o,
                              l,
                              0.0,
                              mask == null ? 1 : 0,
                              maskCell,
                              scaleCell,
                              results,
                              results.asSlice(ADDRESS.byteSize()),
                              results.asSlice(2 * ADDRESS.byteSize()))));
      Profile.ended("attention backward", start, causalFlops(query, 10), 0);
      return new AttentionGradient(
          Tensor.ofHandle(scope, results.getAtIndex(ADDRESS, 0)),
          Tensor.ofHandle(scope, results.getAtIndex(ADDRESS, 1)),
          Tensor.ofHandle(scope, results.getAtIndex(ADDRESS, 2)));
    }
  }

  /** Half of all pairs of tokens, as if there were no window. */
  private static double causalFlops(Tensor query, int each) {
    return 0.5 * each * query.elements() * query.size(2);
  }

  /** An optional tensor is passed as a pointer to its handle. */
  private static MemorySegment optional(Arena arena, @Nullable Tensor tensor) {
    return tensor == null ? MemorySegment.NULL : arena.allocateFrom(ADDRESS, tensor.handle());
  }

  private static void checkProduct(Tensor out, Tensor a, Tensor b) {
    boolean fits =
        out.rank() == 2
            && a.rank() == 2
            && b.rank() == 2
            && a.size(1) == b.size(0)
            && out.size(0) == a.size(0)
            && out.size(1) == b.size(1)
            && a.dtype() == b.dtype()
            && a.dtype() == out.dtype()
            && a.isBeside(out)
            && b.isBeside(out);
    if (!fits) {
      throw new IllegalArgumentException("product %s = %s x %s".formatted(out, a, b));
    }
  }

  private static void checkAttention(
      Tensor query, Tensor key, Tensor value, @Nullable Tensor mask) {
    boolean fits = query.rank() == 4;
    for (Tensor other : new Tensor[] {key, value}) {
      fits =
          fits
              && Arrays.equals(query.shape(), other.shape())
              && query.dtype() == other.dtype()
              && other.stride(3) == 1;
    }
    long tokens = fits ? query.size(2) : 0;
    if (mask != null) {
      fits =
          fits
              && mask.rank() == 2
              && mask.size(0) == tokens
              && mask.size(1) == tokens
              && mask.dtype() == query.dtype();
    }
    if (!fits || query.stride(3) != 1) {
      throw new IllegalArgumentException(
          "attention of query %s, key %s, value %s, mask %s".formatted(query, key, value, mask));
    }
  }
}
