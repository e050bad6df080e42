package org.ftcluster.worker.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Cleaner;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Products of bfloat16 matrices by a oneDNN of its own, on processors with AMX: the one inside
 * libtorch is older, and slower there.
 *
 * <p>A product runs on the thread that calls it. Code is generated for each shape, so each thread
 * keeps what was made for its last ones.
 */
final class OneDnn {
  /** Where it says {@code off}, products are libtorch's. */
  private static final String PROPERTY = "ftcluster.onednn";

  private static final String VARIABLE = "FTCLUSTER_ONEDNN";
  private static final String OFF = "off";

  /** Fewer multiplications aren't worth code of their own. */
  private static final long LEAST_WORK = 1 << 21;

  private static final int LEAST_SIZE = 16;
  private static final int PAGE = 4096;

  private static final boolean AVAILABLE =
      Processor.has("amx_bf16")
          && !OFF.equals(NativeLibraries.setting(PROPERTY, VARIABLE))
          && OneDnn.class.getResource(OneDnnLibrary.RESOURCE) != null;

  private static final ThreadLocal<OneDnn> OF_THREAD = ThreadLocal.withInitial(OneDnn::new);
  private static final Cleaner CLEANER = Cleaner.create();

  private final Kept kept = new Kept();
  private MemorySegment scratch = MemorySegment.NULL;

  private OneDnn() {
    CLEANER.register(this, kept::destroy);
  }

  /**
   * Loads the library, where it is to be used.
   *
   * @throws NativeException when it can't be
   */
  static void initialize() {
    if (!AVAILABLE) {
      return;
    }
    try {
      OneDnnProduct.destroyStream(OneDnnProduct.stream());
    } catch (LinkageError e) {
      Throwable why = e.getCause() == null ? e : e.getCause();
      throw new NativeException(
          "oneDNN can't be loaded: %s; with %s=%s its products are libtorch's"
              .formatted(why.getMessage(), VARIABLE, OFF),
          e);
    }
  }

  static boolean isAvailable() {
    return AVAILABLE;
  }

  /** Whether a product is one for here. */
  static boolean takes(Tensor out, Tensor a, Tensor b) {
    return AVAILABLE
        && !out.isOnDevice()
        && out.dtype() == DType.BFLOAT16
        && out.stride(1) == 1
        && isPlain(out)
        && isPlain(a)
        && isPlain(b)
        && (double) a.elements() * b.size(1) >= LEAST_WORK;
  }

  /** Whether its rows or its columns are dense, and apart from each other. */
  private static boolean isPlain(Tensor matrix) {
    return Math.min(matrix.size(0), matrix.size(1)) >= LEAST_SIZE
        && (matrix.stride(1) == 1 && matrix.stride(0) >= matrix.size(1)
            || matrix.stride(0) == 1 && matrix.stride(1) >= matrix.size(0));
  }

  /**
   * {@code out = a b}, of what it {@linkplain #takes takes}.
   *
   * @param add whether the product is added to what is there
   */
  static void multiply(Tensor out, Tensor a, Tensor b, boolean add) {
    OneDnn ours = OF_THREAD.get();
    OneDnnProduct product =
        ours.kept.products.computeIfAbsent(
            OneDnnProduct.Shape.of(out, a, b, add), OneDnnProduct::of);
    MemorySegment scratch = ours.scratch(product.scratchBytes());
    product.run(ours.kept.stream, a.memory(), b.memory(), out.memory(), scratch);
  }

  /** At least so many bytes, which no other thread uses. */
  private MemorySegment scratch(long bytes) {
    if (scratch.byteSize() < bytes) {
      scratch = Arena.ofAuto().allocate(bytes, PAGE);
    }
    return scratch;
  }

  /** What is given back when its thread is gone. */
  private static final class Kept {
    /** Lengths of batches may vary without end. */
    private static final int MOST_SHAPES = 256;

    final MemorySegment stream = OneDnnProduct.stream();
    final Map<OneDnnProduct.Shape, OneDnnProduct> products =
        new LinkedHashMap<>(MOST_SHAPES, 0.75f, true) {
          @Override
          protected boolean removeEldestEntry(
              Map.Entry<OneDnnProduct.Shape, OneDnnProduct> eldest) {
            boolean tooMany = size() > MOST_SHAPES;
            if (tooMany) {
              eldest.getValue().destroy();
            }
            return tooMany;
          }
        };

    void destroy() {
      products.values().forEach(OneDnnProduct::destroy);
      OneDnnProduct.destroyStream(stream);
    }
  }
}
