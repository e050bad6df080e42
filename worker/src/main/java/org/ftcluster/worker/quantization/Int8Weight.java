package org.ftcluster.worker.quantization;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/**
 * A weight in 8 bits an element, as bitsandbytes quantizes those of LLM.int8 (arXiv:2208.07339,
 * section 2): each row is divided by its largest magnitude, and rounded to whole 127ths of it.
 * Unlike there, activations stay as they are: products are those of the expanded matrix.
 */
public final class Int8Weight implements PackedWeight {
  private final long columns;
  private final DType expandedType;
  private final Storage storage;
  private final float[] absmax;

  /**
   * @param storage int8 [rows, columns]
   * @param absmax of each row
   */
  private Int8Weight(long columns, DType expandedType, Storage storage, float[] absmax) {
    this.columns = columns;
    this.expandedType = expandedType;
    this.storage = storage;
    this.absmax = absmax;
  }

  /**
   * Quantizes a matrix.
   *
   * @param scope where the codes stay
   * @param expandedType of what {@link #expand} gives
   * @param matrix float32 or bfloat16, contiguous
   */
  public static Int8Weight quantize(Scope scope, Tensor matrix, DType expandedType) {
    if (matrix.rank() != 2 || !matrix.isContiguous()) {
      throw new IllegalArgumentException("int8 takes a contiguous matrix, not " + matrix);
    }
    MemorySegment codes = scope.empty(DType.INT8, matrix.shape()).memory();
    float[] absmax = new float[Math.toIntExact(matrix.size(0))];
    if (!DryRun.isOn()) {
      Int8Codec.quantize(matrix, codes, absmax);
    }
    return new Int8Weight(matrix.size(1), expandedType, new Resident(codes), absmax);
  }

  @Override
  public long rows() {
    return absmax.length;
  }

  @Override
  public long columns() {
    return columns;
  }

  @Override
  public long bytes() {
    return storage.held() + (long) Float.BYTES * absmax.length;
  }

  @Override
  public Tensor expand(Scope scope) {
    Tensor out = scope.empty(expandedType, rows(), columns);
    MemorySegment codes = storage.bytes();
    Parallel.rows(
        new Parallel.Cost("int8 expansion", 0, out.elements() + out.memory().byteSize()),
        absmax.length,
        16,
        (from, to) -> Int8Codec.expand(codes, absmax, out, from, to));
    return out;
  }

  @Override
  public Int8Weight slice(Scope scope, long fromRow, long toRow, long fromColumn, long toColumn) {
    boolean inside =
        fromRow >= 0
            && fromRow < toRow
            && toRow <= rows()
            && fromColumn >= 0
            && fromColumn < toColumn
            && toColumn <= columns;
    if (!inside) {
      throw new IllegalArgumentException(
          "rows [%d, %d), columns [%d, %d) aren't in int8 [%d, %d]"
              .formatted(fromRow, toRow, fromColumn, toColumn, rows(), columns));
    }
    long width = toColumn - fromColumn;
    MemorySegment part = scope.empty(DType.INT8, toRow - fromRow, width).memory();
    if (!DryRun.isOn()) {
      for (long row = fromRow; row < toRow; row++) {
        long place = row * columns + fromColumn;
        MemorySegment.copy(storage.bytes(), place, part, (row - fromRow) * width, width);
      }
    }
    return new Int8Weight(
        width,
        expandedType,
        new Resident(part),
        Arrays.copyOfRange(absmax, (int) fromRow, (int) toRow));
  }

  @Override
  public MemorySegment elements() {
    return storage.bytes();
  }

  @Override
  public Weight movedTo(Storage other) {
    return new Int8Weight(columns, expandedType, other, absmax);
  }

  @Override
  public Weight onDevice(Scope scope) {
    return new DeviceInt8Weight(
        columns,
        expandedType,
        storage instanceof Resident resident
            ? new Resident(Upload.bytes(scope, resident.bytes()).address())
            : storage,
        Upload.floats(scope, absmax));
  }

  /** The codes; for tests. */
  byte[] codes() {
    return storage.bytes().toArray(ValueLayout.JAVA_BYTE);
  }

  /** Of each row; for tests. */
  float[] absmax() {
    return absmax.clone();
  }
}
