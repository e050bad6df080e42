package org.ftcluster.worker.tensor.kernel;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.SplitMix64;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Dropout (arXiv:1207.0580), scaled in training. Masks are never kept: whether an element is
 * dropped is a function of a seed and its place, so a backward has the mask of its forward, and a
 * slice that of the whole matrix.
 */
public final class Dropout {
  private static final int GRAIN = 64;
  private static final VectorSpecies<Long> LONGS = LongVector.SPECIES_PREFERRED;
  private static final long UPPER_HALF = 0xFFFFFFFFL << 32;

  /** How far the places of every second element are apart from the first one's. */
  private static final LongVector EVERY_SECOND =
      LongVector.zero(LONGS).addIndex(2).mul(SplitMix64.GOLDEN_GAMMA);

  private Dropout() {}

  /**
   * Which elements of a matrix are dropped.
   *
   * @param p probability of each, below 1
   * @param firstColumn of a matrix that has {@code width} columns, where this one begins
   */
  public record Mask(double p, long seed, long firstColumn, long width) {
    /** An element whose number of 32 bits is below is dropped. */
    long threshold() {
      return (long) (p * (1L << 32));
    }

    /** What those that stay are multiplied by. */
    float scale() {
      return (float) (1 / (1 - p));
    }

    /** What the random number of a row's first element is made of. */
    private long place(long row) {
      return seed + (row * width + firstColumn) * SplitMix64.GOLDEN_GAMMA;
    }
  }

  /** {@code to = mask from / (1 - p)}. */
  public static void drop(Tensor to, Tensor from, Mask mask) {
    RowOps.checkWidths(to, from);
    if (to.isOnDevice()) {
      DeviceRowOps.drop(to, from, mask, false);
      return;
    }
    Rows source = Rows.of(from);
    Rows target = Rows.of(to);
    Parallel.rows(
        Parallel.Cost.through("dropout", to, from),
        to.size(0),
        GRAIN,
        (first, last) -> {
          float[] row = new float[source.width()];
          for (int n = first; n < last; n++) {
            source.read(n, row);
            drop(row, mask, n);
            target.write(n, row);
          }
        });
  }

  /** {@code to += mask from / (1 - p)}. */
  public static void add(Tensor to, Tensor from, Mask mask) {
    RowOps.checkWidths(to, from);
    if (to.isOnDevice()) {
      DeviceRowOps.drop(to, from, mask, true);
      return;
    }
    Rows source = Rows.of(from);
    Rows target = Rows.of(to);
    Parallel.rows(
        Parallel.Cost.through("dropout", to, to, from),
        to.size(0),
        GRAIN,
        (first, last) -> {
          float[] row = new float[source.width()];
          float[] sum = new float[source.width()];
          for (int n = first; n < last; n++) {
            source.read(n, row);
            drop(row, mask, n);
            target.read(n, sum);
            RowOps.accumulate(sum, row);
            target.write(n, sum);
          }
        });
  }

  /**
   * An element's number is the upper half of a mixed long, of which a vector holds half as many as
   * elements: one has the even elements', another the odd ones', and each lies where it belongs.
   */
  private static void drop(float[] row, Mask mask, long number) {
    long place = mask.place(number);
    int threshold = (int) mask.threshold();
    float scale = mask.scale();
    int step = Rows.FLOATS.length();
    LongVector even = EVERY_SECOND.add(place);
    int i = 0;
    for (int end = Rows.FLOATS.loopBound(row.length); i < end; i += step) {
      LongVector random =
          VectorMath.mix(even)
              .lanewise(VectorOperators.LSHR, 32)
              .or(VectorMath.mix(even.add(SplitMix64.GOLDEN_GAMMA)).and(UPPER_HALF));
      VectorMask<Float> dropped =
          random.reinterpretAsInts().compare(VectorOperators.ULT, threshold).cast(Rows.FLOATS);
      FloatVector.fromArray(Rows.FLOATS, row, i).mul(scale).blend(0f, dropped).intoArray(row, i);
      even = even.add(step * SplitMix64.GOLDEN_GAMMA);
    }
    for (; i < row.length; i++) {
      long random = SplitMix64.mix(place + i * SplitMix64.GOLDEN_GAMMA) >>> 32;
      row[i] = random < mask.threshold() ? 0 : row[i] * scale;
    }
  }
}
