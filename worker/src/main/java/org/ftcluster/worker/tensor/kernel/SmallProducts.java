package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.Brgemm;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;

/**
 * Products of two matrices of which one factor or the result is small: those of an adapter's rank,
 * and those of few rows with a whole vocabulary. A general library brings all of a factor into a
 * form of its own before it multiplies, which here takes longer than the product itself.
 *
 * <p>Where factors are bfloat16 and the processor multiplies it, ours are in blocks, whose sums are
 * float32 and rounded once; how many threads there are changes no result. All others are
 * libtorch's.
 */
public final class SmallProducts {
  /** Ranks for which a product is small. */
  private static final int MOST_RANKS = 128;

  /** Of a product with many columns whose sums stay in the caches. */
  private static final int MOST_ROWS = 1024;

  /** With fewer tokens libtorch is as fast. */
  private static final int LEAST_LENGTH = 64;

  private SmallProducts() {}

  /**
   * {@code out = scale a b}; [m, n] = [m, k] [k, n].
   *
   * @param out of the factors' type, or float32
   */
  public static void multiply(Workspace workspace, Tensor out, Tensor a, Tensor b, double scale) {
    run(workspace, out, a, b, scale, false);
  }

  /** {@code out += scale a b}. */
  public static void add(Workspace workspace, Tensor out, Tensor a, Tensor b, double scale) {
    run(workspace, out, a, b, scale, true);
  }

  private static void run(
      Workspace workspace, Tensor out, Tensor a, Tensor b, double scale, boolean add) {
    if (isForBlocks(out, a, b)) {
      if (hasSmallFactor(out, a, b)) {
        RowBlocks.multiply(workspace, cost(a, b), new Sums(out, (float) scale, add), a, b);
        return;
      }
      if (hasFewRows(out, a, b)) {
        ColumnBlocks.multiply(workspace, cost(a, b), new Sums(out, (float) scale, add), a, b);
        return;
      }
      if (hasFewRows(out.transpose(), b.transpose(), a.transpose())) {
        run(workspace, out.transpose(), b.transpose(), a.transpose(), scale, add);
        return;
      }
    }
    libtorch(workspace, out, a, b, scale, add);
  }

  /** Whether blocks of it could be multiplied here; what doesn't fit is for libtorch to refuse. */
  private static boolean isForBlocks(Tensor out, Tensor a, Tensor b) {
    return Brgemm.isAvailable()
        && !out.isOnDevice()
        && a.isBeside(out)
        && b.isBeside(out)
        && a.dtype() == DType.BFLOAT16
        && b.dtype() == DType.BFLOAT16
        && out.elements() > 0
        && a.size(0) == out.size(0)
        && a.size(1) == b.size(0)
        && b.size(1) == out.size(1);
  }

  /** Whether it is one for {@link RowBlocks}. */
  private static boolean hasSmallFactor(Tensor out, Tensor a, Tensor b) {
    return Math.min(b.size(0), b.size(1)) <= MOST_RANKS
        && a.size(0) >= LEAST_LENGTH
        && a.size(1) % 2 == 0
        && out.dtype() == DType.BFLOAT16
        && hasDenseRows(out)
        && hasDenseRows(a)
        && (hasDenseRows(b) || hasDenseRows(b.transpose()));
  }

  /** Whether it is one for {@link ColumnBlocks}. */
  private static boolean hasFewRows(Tensor out, Tensor a, Tensor b) {
    boolean rounds = out.dtype() == DType.BFLOAT16 && hasDenseRows(out);
    boolean keeps = out.dtype() == DType.FLOAT32;
    return (hasDenseRows(a)
            ? a.size(0) <= MOST_ROWS
            : a.size(0) <= MOST_RANKS && hasDenseRows(a.transpose()))
        && a.size(1) >= LEAST_LENGTH
        && a.size(1) % 2 == 0
        && hasDenseRows(b)
        && (rounds || keeps);
  }

  private static boolean hasDenseRows(Tensor matrix) {
    return matrix.stride(1) == 1;
  }

  private static Parallel.Cost cost(Tensor a, Tensor b) {
    String shapes =
        Profile.isActive() ? " %d x %d x %d".formatted(a.size(0), a.size(1), b.size(1)) : "";
    return new Parallel.Cost("product" + shapes, 2.0 * a.elements() * b.size(1), 0);
  }

  /** A product of libtorch's has the type of its factors. */
  private static void libtorch(
      Workspace workspace, Tensor out, Tensor a, Tensor b, double scale, boolean add) {
    if (out.dtype() == a.dtype()) {
      Aten.addmm(out, a, b, add ? 1 : 0, scale);
      return;
    }
    try (Scope temporary = workspace.open()) {
      Tensor product = temporary.empty(a.dtype(), out.shape());
      Aten.addmm(product, a, b, 0, scale);
      if (add) {
        RowOps.add(out, product);
      } else {
        RowOps.copy(out, product);
      }
    }
  }
}
