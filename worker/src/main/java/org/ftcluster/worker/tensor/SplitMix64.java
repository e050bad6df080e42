package org.ftcluster.worker.tensor;

/**
 * The SplitMix64 generator (Steele, Lea and Flood, "Fast splittable pseudorandom number
 * generators", 2014), written out because what is drawn from it, the order of samples among them,
 * must be the same on every JVM, forever.
 */
public final class SplitMix64 {
  /** How far the states are apart that successive numbers are mixed from. */
  public static final long GOLDEN_GAMMA = 0x9e3779b97f4a7c15L;

  public static final long FIRST_FACTOR = 0xbf58476d1ce4e5b9L;
  public static final long SECOND_FACTOR = 0x94d049bb133111ebL;

  private long state;

  /** Two generators of the same seed give the same numbers. */
  public SplitMix64(long seed) {
    this.state = seed;
  }

  /** A seed made from several numbers, each of which matters, and their order, too. */
  public static long seed(long... parts) {
    long seed = 0;
    for (long part : parts) {
      seed = mix(seed + GOLDEN_GAMMA + part);
    }
    return seed;
  }

  /** All 64-bit values, equally likely. */
  public long next() {
    state += GOLDEN_GAMMA;
    return mix(state);
  }

  /** A number from 0 up to, and without, {@code bound}; its bias is below bound / 2^64. */
  public int below(int bound) {
    return (int) Math.unsignedMultiplyHigh(next(), bound);
  }

  /** The generator's output function: spreads the bits of {@code value} over all 64. */
  public static long mix(long value) {
    long z = value;
    z = (z ^ (z >>> 30)) * FIRST_FACTOR;
    z = (z ^ (z >>> 27)) * SECOND_FACTOR;
    return z ^ (z >>> 31);
  }
}
