package org.ftcluster.worker.collective;

import static java.nio.ByteOrder.nativeOrder;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorSpecies;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.tensor.kernel.RowOps;

/** {@code target[i] = target[i] op source[i]}, straight on the buffers. */
final class Reduction {
  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Double> DOUBLES = DoubleVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Long> LONGS = LongVector.SPECIES_PREFERRED;
  private static final int BLOCK = 2048;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

  private Reduction() {}

  /** Both segments hold the same number of whole elements. A maximum with NaN is NaN. */
  static void reduce(MemorySegment target, MemorySegment source, ElementType type, ReduceOp op) {
    boolean sum =
        switch (op) {
          case SUM -> true;
          case MAX -> false;
        };
    switch (type) {
      case BFLOAT16 -> reduceBfloat16s(target, source, sum);
      case FLOAT32 -> reduceFloats(target, source, sum);
      case FLOAT64 -> reduceDoubles(target, source, sum);
      case INT64 -> reduceLongs(target, source, sum);
    }
  }

  /** In float32, rounded to nearest. */
  private static void reduceBfloat16s(MemorySegment target, MemorySegment source, boolean sum) {
    float[] a = new float[BLOCK];
    float[] b = new float[BLOCK];
    long size = target.byteSize() / Short.BYTES;
    for (long at = 0; at < size; at += BLOCK) {
      int count = (int) Math.min(BLOCK, size - at);
      RowOps.fromBfloat16(a, target, at, count);
      RowOps.fromBfloat16(b, source, at, count);
      for (int i = 0; i < count; i++) {
        a[i] = sum ? a[i] + b[i] : Math.max(a[i], b[i]);
      }
      RowOps.toBfloat16(target, at, a, count);
    }
  }

  private static void reduceFloats(MemorySegment target, MemorySegment source, boolean sum) {
    long bytes = target.byteSize();
    long at = 0;
    for (long end = bytes - FLOATS.vectorByteSize(); at <= end; at += FLOATS.vectorByteSize()) {
      FloatVector a = FloatVector.fromMemorySegment(FLOATS, target, at, nativeOrder());
      FloatVector b = FloatVector.fromMemorySegment(FLOATS, source, at, nativeOrder());
      (sum ? a.add(b) : a.max(b)).intoMemorySegment(target, at, nativeOrder());
    }
    for (; at < bytes; at += Float.BYTES) {
      float a = target.get(FLOAT, at);
      float b = source.get(FLOAT, at);
      target.set(FLOAT, at, sum ? a + b : Math.max(a, b));
    }
  }

  private static void reduceDoubles(MemorySegment target, MemorySegment source, boolean sum) {
    long bytes = target.byteSize();
    long at = 0;
    for (long end = bytes - DOUBLES.vectorByteSize(); at <= end; at += DOUBLES.vectorByteSize()) {
      DoubleVector a = DoubleVector.fromMemorySegment(DOUBLES, target, at, nativeOrder());
      DoubleVector b = DoubleVector.fromMemorySegment(DOUBLES, source, at, nativeOrder());
      (sum ? a.add(b) : a.max(b)).intoMemorySegment(target, at, nativeOrder());
    }
    for (; at < bytes; at += Double.BYTES) {
      double a = target.get(DOUBLE, at);
      double b = source.get(DOUBLE, at);
      target.set(DOUBLE, at, sum ? a + b : Math.max(a, b));
    }
  }

  private static void reduceLongs(MemorySegment target, MemorySegment source, boolean sum) {
    long bytes = target.byteSize();
    long at = 0;
    for (long end = bytes - LONGS.vectorByteSize(); at <= end; at += LONGS.vectorByteSize()) {
      LongVector a = LongVector.fromMemorySegment(LONGS, target, at, nativeOrder());
      LongVector b = LongVector.fromMemorySegment(LONGS, source, at, nativeOrder());
      (sum ? a.add(b) : a.max(b)).intoMemorySegment(target, at, nativeOrder());
    }
    for (; at < bytes; at += Long.BYTES) {
      long a = target.get(LONG, at);
      long b = source.get(LONG, at);
      target.set(LONG, at, sum ? a + b : Math.max(a, b));
    }
  }
}
