package org.ftcluster.worker.quantization;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/**
 * An {@link Nf4Weight} in an accelerator's memory.
 *
 * @param packed uint8: two codes a byte, in the accelerator's memory
 * @param scales of the blocks
 * @param codes float32 [16]: the values that NF4's codes stand for
 */
record DeviceNf4Weight(Nf4Shape shape, Storage packed, Scales scales, Tensor codes)
    implements DeviceWeight {

  /** Each block's largest magnitude, as {@link Absmax} has it. */
  sealed interface Scales {
    long bytes();

    /**
     * As they are.
     *
     * @param values float32
     */
    record Plain(Tensor values) implements Scales {
      @Override
      public long bytes() {
        return 4 * values.elements();
      }
    }

    /**
     * In 8 bits.
     *
     * @param absmax uint8 codes
     * @param groups float32
     * @param map float32 [256]: the values that the codes stand for
     */
    record DoubleQuantized(Tensor absmax, Tensor groups, Tensor map, float offset, int first)
        implements Scales {
      @Override
      public long bytes() {
        return absmax.elements() + 4 * groups.elements();
      }
    }

    static Scales of(Scope scope, Absmax absmax) {
      return switch (absmax) {
        case Absmax.Plain plain -> new Plain(Upload.floats(scope, plain.values()));
        case Absmax.DoubleQuantized nested ->
            new DoubleQuantized(
                Upload.bytes(scope, MemorySegment.ofArray(nested.codes())),
                Upload.floats(scope, nested.groups()),
                Upload.floats(scope, CodeBooks.DYNAMIC),
                nested.offset(),
                nested.first());
        case Absmax.Hollow hollow -> hollow(scope, hollow);
      };
    }

    private static Scales hollow(Scope scope, Absmax.Hollow absmax) {
      return absmax.nested()
          ? new DoubleQuantized(
              scope.empty(DType.UINT8, absmax.blocks()),
              scope.empty(DType.FLOAT32, absmax.groups()),
              Upload.floats(scope, CodeBooks.DYNAMIC),
              0,
              absmax.first())
          : new Plain(scope.empty(DType.FLOAT32, absmax.blocks()));
    }
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
    return packed.held() + scales.bytes();
  }

  @Override
  public Tensor expand(Scope scope) {
    Tensor held = shape.room(scope);
    long elements = held.elements();
    long threads = Math.ceilDiv(elements, (long) ELEMENTS_A_THREAD);
    long blocks = Math.ceilDiv(threads, (long) held.device().blockThreads());
    long start = Profile.begin();
    switch (scales) {
      case Scales.Plain plain ->
          held.device()
              .launch(
                  new Kernel("nf4", "nf4_expand", shape.expandedType()),
                  blocks,
                  held,
                  packed.bytes(),
                  plain.values(),
                  codes,
                  elements);
      case Scales.DoubleQuantized nested ->
          held.device()
              .launch(
                  new Kernel("nf4", "nf4_expand_double", shape.expandedType()),
                  blocks,
                  held,
                  packed.bytes(),
                  nested.absmax(),
                  nested.groups(),
                  nested.map(),
                  codes,
                  nested.offset(),
                  nested.first(),
                  elements);
    }
    if (Profile.isActive()) {
      held.device().synchronize();
      Profile.ended("NF4 expansion", start, 0, elements * (0.5 + shape.expandedType().bytes()));
    }
    return shape.wanted(held);
  }
}
