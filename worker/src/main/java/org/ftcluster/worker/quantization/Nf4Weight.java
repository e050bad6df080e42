package org.ftcluster.worker.quantization;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/**
 * A weight in 4-bit NormalFloat (arXiv:2305.14314), packed as bitsandbytes packs it: row-major,
 * blocks of 64, two codes a byte with the even element in the high half. With double quantization
 * it takes 0.516 bytes an element.
 */
public final class Nf4Weight implements PackedWeight {
  /** Elements that share an absmax. */
  public static final int BLOCK = 64;

  private final Nf4Shape shape;
  private final Storage storage;
  private final Absmax absmax;

  private Nf4Weight(Nf4Shape shape, Storage storage, Absmax absmax) {
    this.shape = shape;
    this.storage = storage;
    this.absmax = absmax;
  }

  /**
   * Quantizes a matrix.
   *
   * @param scope where the packed codes stay
   * @param expandedType of what {@link #expand} gives
   * @param matrix float32 or bfloat16, contiguous
   */
  public static Nf4Weight quantize(
      Scope scope, Tensor matrix, DType expandedType, boolean doubleQuant) {
    if (matrix.rank() != 2 || !matrix.isContiguous()) {
      throw new IllegalArgumentException("NF4 takes a contiguous matrix, not " + matrix);
    }
    long elements = matrix.elements();
    MemorySegment packed = scope.empty(DType.UINT8, (elements + 1) / 2).memory();
    int blocks = Math.toIntExact((elements + BLOCK - 1) / BLOCK);
    return new Nf4Weight(
        Nf4Shape.of(matrix.size(0), matrix.size(1), expandedType),
        new Resident(packed),
        DryRun.isOn()
            ? new Absmax.Hollow(blocks, doubleQuant, 0)
            : quantize(matrix, packed, blocks, doubleQuant));
  }

  private static Absmax quantize(
      Tensor matrix, MemorySegment packed, int blocks, boolean doubleQuant) {
    float[] absmax = new float[blocks];
    Nf4Codec.quantize(matrix, packed, absmax);
    return doubleQuant ? Absmax.doubleQuantize(absmax) : new Absmax.Plain(absmax);
  }

  @Override
  public long rows() {
    return shape.rows();
  }

  @Override
  public long columns() {
    return shape.columns();
  }

  @Override
  public long bytes() {
    return storage.held() + absmax.bytes();
  }

  @Override
  public Tensor expand(Scope scope) {
    Tensor held = shape.room(scope);
    MemorySegment out = held.memory();
    MemorySegment packed = storage.bytes();
    long elements = held.elements();
    int blocks = Math.toIntExact((elements + BLOCK - 1) / BLOCK);
    Parallel.rows(
        new Parallel.Cost("NF4 expansion", 0, elements * 0.5 + out.byteSize()),
        blocks,
        1024,
        (from, to) ->
            Nf4Codec.expand(packed, absmax, out, shape.expandedType(), elements, from, to));
    return shape.wanted(held);
  }

  /**
   * {@inheritDoc} Where its first or last columns cut blocks, it holds those whole. Rows must begin
   * with a block: always so where columns are a multiple of {@value #BLOCK}.
   */
  @Override
  public Nf4Weight slice(Scope scope, long fromRow, long toRow, long fromColumn, long toColumn) {
    long rows = rows();
    long columns = columns();
    boolean wholeRows = fromColumn == 0 && toColumn == columns;
    boolean inside =
        fromRow >= 0
            && fromRow < toRow
            && toRow <= rows
            && fromColumn >= 0
            && fromColumn < toColumn
            && toColumn <= columns;
    boolean aligned = wholeRows ? fromRow * columns % BLOCK == 0 : columns % BLOCK == 0;
    if (shape.before() + shape.after() > 0) {
      throw new IllegalArgumentException("a slice of a slice whose blocks were cut");
    }
    if (!inside || !aligned) {
      throw new IllegalArgumentException(
          "rows [%d, %d), columns [%d, %d) of NF4 [%d, %d] don't fall on blocks of %d"
              .formatted(fromRow, toRow, fromColumn, toColumn, rows, columns, BLOCK));
    }
    return wholeRows
        ? rowSlice(scope, fromRow, toRow)
        : columnSlice(scope, fromRow, toRow, fromColumn, toColumn);
  }

  private Nf4Weight rowSlice(Scope scope, long fromRow, long toRow) {
    long columns = columns();
    long first = fromRow * columns;
    long last = toRow * columns;
    MemorySegment part = scope.empty(DType.UINT8, (last - first + 1) / 2).memory();
    if (!DryRun.isOn()) {
      MemorySegment.copy(storage.bytes(), first / 2, part, 0, part.byteSize());
    }
    int fromBlock = (int) (first / BLOCK);
    int toBlock = (int) ((last + BLOCK - 1) / BLOCK);
    Absmax partAbsmax =
        switch (absmax) {
          case Absmax.Plain plain ->
              new Absmax.Plain(java.util.Arrays.copyOfRange(plain.values(), fromBlock, toBlock));
          case Absmax.DoubleQuantized nested -> nested.slice(fromBlock, toBlock);
          case Absmax.Hollow hollow -> hollow.slice(fromBlock, toBlock);
        };
    return new Nf4Weight(
        Nf4Shape.of(toRow - fromRow, columns, shape.expandedType()),
        new Resident(part),
        partAbsmax);
  }

  /**
   * Blocks of a column slice come from all over the groups, so it holds their absmax as float32.
   */
  private Nf4Weight columnSlice(
      Scope scope, long fromRow, long toRow, long fromWanted, long toWanted) {
    long fromColumn = fromWanted / BLOCK * BLOCK;
    long toColumn = Math.ceilDiv(toWanted, (long) BLOCK) * BLOCK;
    long width = toColumn - fromColumn;
    MemorySegment part = scope.empty(DType.UINT8, (toRow - fromRow) * width / 2).memory();
    int blocks = Math.toIntExact((toRow - fromRow) * width / BLOCK);
    return new Nf4Weight(
        new Nf4Shape(
            toRow - fromRow,
            toWanted - fromWanted,
            shape.expandedType(),
            fromWanted - fromColumn,
            toColumn - toWanted),
        new Resident(part),
        DryRun.isOn()
            ? new Absmax.Hollow(blocks, false, 0)
            : copyColumns(part, fromRow, toRow, fromColumn, width, blocks));
  }

  private Absmax copyColumns(
      MemorySegment part, long fromRow, long toRow, long fromColumn, long width, int blocks) {
    float[] values = new float[blocks];
    int count = 0;
    for (long row = fromRow; row < toRow; row++) {
      long first = row * columns() + fromColumn;
      MemorySegment.copy(storage.bytes(), first / 2, part, (row - fromRow) * width / 2, width / 2);
      for (long block = first / BLOCK; block < (first + width) / BLOCK; block++) {
        values[count++] = absmax.get((int) block);
      }
    }
    return new Absmax.Plain(values);
  }

  @Override
  public MemorySegment elements() {
    return storage.bytes();
  }

  @Override
  public Weight movedTo(Storage other) {
    return new Nf4Weight(shape, other, absmax);
  }

  @Override
  public Weight onDevice(Scope scope) {
    return new DeviceNf4Weight(
        shape,
        storage instanceof Resident resident
            ? new Resident(Upload.bytes(scope, resident.bytes()).address())
            : storage,
        DeviceNf4Weight.Scales.of(scope, absmax),
        Upload.floats(scope, CodeBooks.NF4));
  }

  /** The packed codes; for tests and for saving. */
  byte[] packedCodes() {
    return storage.bytes().toArray(ValueLayout.JAVA_BYTE);
  }

  Absmax absmax() {
    return absmax;
  }
}
