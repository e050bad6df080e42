package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/** Moving and adding rows of matrices. */
public final class RowOps {
  private static final int GRAIN = 64;
  private static final int COLUMN_GRAIN = 256;
  private static final int BLOCK = 4096;

  private RowOps() {}

  /** {@code to[n] = from[rows[n]]}, converting between types. */
  public static void gather(Tensor to, Tensor from, int[] rows) {
    check(to, from, rows, to.size(0), from.size(0));
    if (to.isOnDevice()) {
      DeviceRowOps.gather(to, from, rows);
      return;
    }
    Rows source = Rows.of(from);
    Rows target = Rows.of(to);
    Parallel.rows(
        Parallel.Cost.through("gather", to, to),
        rows.length,
        GRAIN,
        (first, last) -> {
          float[] row = new float[source.width()];
          for (int n = first; n < last; n++) {
            source.read(rows[n], row);
            target.write(n, row);
          }
        });
  }

  /** {@code to[rows[n]] += from[n]}, in order where a row is named more than once. */
  public static void scatterAdd(Tensor to, Tensor from, int[] rows) {
    check(to, from, rows, from.size(0), to.size(0));
    if (to.isOnDevice()) {
      DeviceRowOps.scatterAdd(to, from, rows);
      return;
    }
    Rows source = Rows.of(from);
    Rows target = Rows.of(to);
    Parallel.rows(
        Parallel.Cost.through("scatter", from, from, from),
        source.width(),
        COLUMN_GRAIN,
        (first, last) -> {
          float[] part = new float[last - first];
          float[] sum = new float[last - first];
          for (int n = 0; n < rows.length; n++) {
            source.read(n, first, part, part.length);
            target.read(rows[n], first, sum, sum.length);
            accumulate(sum, part);
            target.write(rows[n], first, sum, sum.length);
          }
        });
  }

  /**
   * Sums over rows: a bias's gradient.
   *
   * @param sums float32 [D] out
   * @param from [T, D]
   */
  public static void sumRows(Tensor sums, Tensor from) {
    if (sums.isOnDevice()) {
      DeviceRowOps.sumRows(sums, from);
      return;
    }
    Rows source = Rows.of(from);
    Columns.write(
        Parallel.Cost.through("bias gradient", from),
        sums,
        source.width(),
        (first, total) -> {
          float[] part = new float[total.length];
          for (int t = 0; t < from.size(0); t++) {
            source.read(t, first, part, part.length);
            accumulate(total, part);
          }
        });
  }

  /** {@code to += from}, row by row. */
  public static void add(Tensor to, Tensor from) {
    checkWidths(to, from);
    if (to.isOnDevice()) {
      DeviceRowOps.add(to, from);
      return;
    }
    Rows source = Rows.of(from);
    Rows target = Rows.of(to);
    Parallel.rows(
        Parallel.Cost.through("add", to, to, from),
        to.size(0),
        GRAIN,
        (first, last) -> {
          float[] row = new float[source.width()];
          float[] sum = new float[source.width()];
          for (int n = first; n < last; n++) {
            source.read(n, row);
            target.read(n, sum);
            accumulate(sum, row);
            target.write(n, sum);
          }
        });
  }

  /** {@code to[n] = vector} for every row: where a product with a bias starts from. */
  public static void fill(Tensor to, Tensor vector) {
    if (to.isOnDevice()) {
      DeviceRowOps.fill(to, vector);
      return;
    }
    Rows target = Rows.of(to);
    if (vector.rank() != 1 || vector.elements() != target.width()) {
      throw new IllegalArgumentException("%s for rows of %s".formatted(vector, to));
    }
    float[] row = vector.toFloats();
    Parallel.rows(
        Parallel.Cost.through("fill", to),
        to.size(0),
        GRAIN,
        (first, last) -> {
          for (int n = first; n < last; n++) {
            target.write(n, row);
          }
        });
  }

  /** {@code to = from}, converting between types. */
  public static void copy(Tensor to, Tensor from) {
    checkWidths(to, from);
    if (to.isOnDevice()) {
      DeviceRowOps.convert(to, from);
      return;
    }
    Rows source = Rows.of(from);
    Rows target = Rows.of(to);
    Parallel.rows(
        Parallel.Cost.through("convert", to, from),
        to.size(0),
        GRAIN,
        (first, last) -> {
          float[] row = new float[source.width()];
          for (int n = first; n < last; n++) {
            source.read(n, row);
            target.write(n, row);
          }
        });
  }

  /**
   * Rounds a block of float32 to bfloat16.
   *
   * @param to half as many bytes as {@code from}
   */
  public static void toBfloat16(MemorySegment to, MemorySegment from) {
    long count = from.byteSize() / Float.BYTES;
    if (to.byteSize() != count * Short.BYTES) {
      throw new IllegalArgumentException(
          "%d bytes for %d elements".formatted(to.byteSize(), count));
    }
    float[] block = new float[BLOCK];
    for (long at = 0; at < count; at += BLOCK) {
      int size = (int) Math.min(BLOCK, count - at);
      Rows.read(from, DType.FLOAT32, at, block, size);
      toBfloat16(to, at, block, size);
    }
  }

  /**
   * Rounds the first {@code count} of {@code from}.
   *
   * @param start element of {@code to} where the first one goes
   */
  public static void toBfloat16(MemorySegment to, long start, float[] from, int count) {
    Rows.write(to, DType.BFLOAT16, start, from, count);
  }

  /**
   * Reads {@code count} bfloat16 as float32.
   *
   * @param start element of {@code from} that comes first
   */
  public static void fromBfloat16(float[] to, MemorySegment from, long start, int count) {
    Rows.read(from, DType.BFLOAT16, start, to, count);
  }

  /**
   * Widens a block of bfloat16 to float32.
   *
   * @param to twice as many bytes as {@code from}
   */
  public static void fromBfloat16(MemorySegment to, MemorySegment from) {
    long count = from.byteSize() / Short.BYTES;
    if (to.byteSize() != count * Float.BYTES) {
      throw new IllegalArgumentException(
          "%d bytes for %d elements".formatted(to.byteSize(), count));
    }
    float[] block = new float[BLOCK];
    for (long at = 0; at < count; at += BLOCK) {
      int size = (int) Math.min(BLOCK, count - at);
      fromBfloat16(block, from, at, size);
      Rows.write(to, DType.FLOAT32, at, block, size);
    }
  }

  /** {@code to += from}, a block of float32 and one of bfloat16. */
  public static void addBfloat16(MemorySegment to, MemorySegment from) {
    long count = from.byteSize() / Short.BYTES;
    float[] sums = new float[BLOCK];
    float[] terms = new float[BLOCK];
    for (long at = 0; at < count; at += BLOCK) {
      int size = (int) Math.min(BLOCK, count - at);
      Rows.read(to, DType.FLOAT32, at, sums, size);
      fromBfloat16(terms, from, at, size);
      accumulate(sums, terms);
      Rows.write(to, DType.FLOAT32, at, sums, size);
    }
  }

  static void accumulate(float[] sum, float[] row) {
    for (int i = 0; i < sum.length; i++) {
      sum[i] += row[i];
    }
  }

  private static void check(Tensor to, Tensor from, int[] rows, long count, long bound) {
    if (to.size(1) != from.size(1) || count != rows.length) {
      throw new IllegalArgumentException("%d rows from %s to %s".formatted(rows.length, from, to));
    }
    for (int row : rows) {
      if (row < 0 || row >= bound) {
        throw new IllegalArgumentException("row " + row + " of " + bound);
      }
    }
  }

  static void checkWidths(Tensor to, Tensor from) {
    if (to.size(0) != from.size(0) || to.size(1) != from.size(1)) {
      throw new IllegalArgumentException("%s and %s differ in shape".formatted(to, from));
    }
  }
}
