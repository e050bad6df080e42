package org.ftcluster.worker.quantization;

import org.ftcluster.worker.tensor.Parallel;

/**
 * The largest magnitude of each block of 64 weights: what codes are multiplied with.
 *
 * <p>{@link DoubleQuantized} holds it in 8 bits (arXiv:2305.14314, section 3): the blocks' values
 * less their mean, in groups of 256, as codes of the dynamic map times the group's own largest
 * magnitude.
 */
sealed interface Absmax {
  int GROUP = 256;

  /** Of block {@code block}. */
  float get(int block);

  long bytes();

  /** Blocks as they are. */
  record Plain(float[] values) implements Absmax {
    @Override
    public float get(int block) {
      return values[block];
    }

    @Override
    public long bytes() {
      return 4L * values.length;
    }
  }

  /**
   * @param first where this slice's first block stands in its group
   */
  record DoubleQuantized(byte[] codes, float[] groups, float offset, int first) implements Absmax {
    @Override
    public float get(int block) {
      float code = CodeBooks.DYNAMIC[codes[block] & 0xFF];
      return code * groups[(first + block) / GROUP] + offset;
    }

    @Override
    public long bytes() {
      return codes.length + 4L * groups.length;
    }

    /**
     * Blocks {@code from} (inclusive) to {@code to} (exclusive), with the very values they have in
     * the whole.
     */
    DoubleQuantized slice(int from, int to) {
      int firstGroup = (first + from) / GROUP;
      int lastGroup = (first + to - 1) / GROUP;
      return new DoubleQuantized(
          java.util.Arrays.copyOfRange(codes, from, to),
          java.util.Arrays.copyOfRange(groups, firstGroup, lastGroup + 1),
          offset,
          (first + from) % GROUP);
    }
  }

  /**
   * Of a dry run: as many bytes, and no values.
   *
   * @param nested whether those of {@link DoubleQuantized}
   * @param first as there
   */
  record Hollow(int blocks, boolean nested, int first) implements Absmax {
    @Override
    public float get(int block) {
      throw new IllegalStateException("a dry run has no weights");
    }

    int groups() {
      return Math.ceilDiv(first + blocks, GROUP);
    }

    @Override
    public long bytes() {
      return nested ? blocks + 4L * groups() : 4L * blocks;
    }

    /** As that of {@link DoubleQuantized}. */
    Hollow slice(int from, int to) {
      return new Hollow(to - from, nested, nested ? (first + from) % GROUP : 0);
    }
  }

  static DoubleQuantized doubleQuantize(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += value;
    }
    float offset = (float) (sum / values.length);
    float[] bounds = CodeBooks.bounds(CodeBooks.DYNAMIC);
    float[] groups = new float[(values.length + GROUP - 1) / GROUP];
    byte[] codes = new byte[values.length];
    Parallel.rows(
        new Parallel.Cost("double quantization", 0, values.length * (Float.BYTES + 1.0)),
        groups.length,
        64,
        (fromGroup, toGroup) -> {
          for (int group = fromGroup; group < toGroup; group++) {
            int from = group * GROUP;
            int to = Math.min(from + GROUP, values.length);
            groups[group] = quantizeGroup(values, from, to, offset, bounds, codes);
          }
        });
    return new DoubleQuantized(codes, groups, offset, 0);
  }

  /** Returns the group's largest magnitude. */
  private static float quantizeGroup(
      float[] values, int from, int to, float offset, float[] bounds, byte[] codes) {
    float largest = 0;
    for (int i = from; i < to; i++) {
      largest = Math.max(largest, Math.abs(values[i] - offset));
    }
    float inverse = 1 / Math.max(largest, 1e-38f);
    for (int i = from; i < to; i++) {
      codes[i] = (byte) below(bounds, (values[i] - offset) * inverse);
    }
    return largest;
  }

  /**
   * How many bounds {@code value} exceeds, in as many looks for any value: a processor can't guess
   * where one goes.
   *
   * @param bounds one less than a power of two, ascending
   */
  private static int below(float[] bounds, float value) {
    int below = 0;
    for (int half = (bounds.length + 1) / 2; half > 0; half /= 2) {
      below += value > bounds[below + half - 1] ? half : 0;
    }
    return below;
  }
}
