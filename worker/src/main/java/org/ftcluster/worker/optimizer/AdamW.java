package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.tensor.FiledMemory;
import org.ftcluster.worker.tensor.Parallel;
import org.jspecify.annotations.Nullable;

/**
 * AdamW with decoupled weight decay (arXiv:1711.05101), in the arithmetic of PyTorch's {@code
 * torch.optim.AdamW}: bias corrections as factors of the step size and of the root, epsilon added
 * to the corrected root, the coefficients computed in float64 and rounded to float32.
 *
 * <p>Each element is computed alone and without fused multiply-add, so the result does not depend
 * on the width of the processor's vectors.
 *
 * @param beta1 how much of the running mean of the gradient stays each step
 * @param beta2 how much of the running mean of its square stays each step
 * @param epsilon keeps the quotient finite
 * @param weightDecay share of a parameter, times the learning rate, that is taken off each step
 */
public record AdamW(double beta1, double beta2, double epsilon, double weightDecay) {
  /** Elements handled at once, so that they stay in the first-level cache. */
  private static final int BLOCK = 2048;

  /** Blocks that are worth a piece of their own. */
  private static final int GRAIN = 16;

  /** Elements between asking for what comes next of a file, and letting go of what is done. */
  private static final long FILED_PIECE = FiledMemory.PIECE / Float.BYTES;

  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  /**
   * When an update happens, and how far it goes.
   *
   * @param step counted from 1
   * @param gradientScale factor on the gradients, see {@link GradientClip}; they stay as they are
   */
  public record At(long step, double learningRate, float gradientScale) {}

  /** What an update multiplies with, the same for all elements but for their decay. */
  record Factors(
      float negativeStepSize,
      float rootCorrection,
      float gradientScale,
      float gain1,
      float keep2,
      float gain2,
      float epsilon) {}

  /** Computed in float64, and rounded. */
  Factors factors(At at) {
    return new Factors(
        (float) -(at.learningRate() / (1 - Math.pow(beta1, (double) at.step()))),
        (float) Math.sqrt(1 - Math.pow(beta2, (double) at.step())),
        at.gradientScale(),
        (float) (1 - beta1),
        (float) beta2,
        (float) (1 - beta2),
        (float) epsilon);
  }

  /** What is left of a parameter. */
  float decay(boolean decays, At at) {
    return decays ? (float) (1 - at.learningRate() * weightDecay) : 1;
  }

  /** One optimizer step over all parameters, in place and in one pass. */
  public void update(
      ParameterBuffer parameters,
      OptimizerState state,
      long step,
      double learningRate,
      float gradientScale) {
    update(parameters, state, new At(step, learningRate, gradientScale));
  }

  /** The same. */
  public void update(ParameterBuffer parameters, OptimizerState state, At at) {
    Shard all = new Shard(0, parameters.size());
    Buffers buffers =
        new Buffers(
            parameters.values(),
            parameters.gradients(),
            state.firstMoment(),
            state.secondMoment(),
            parameters.values(),
            state.firstMoment(),
            state.secondMoment());
    forEachSlice(parameters.slices(), all, buffers, at);
  }

  /** The same over a piece's parameters, whose values are there, too. */
  void update(List<ParameterBuffer.Slice> tensors, OptimizerState.Piece piece, At at) {
    Buffers buffers =
        new Buffers(
            piece.values(),
            piece.gradients(),
            piece.firstMoment(),
            piece.secondMoment(),
            piece.values(),
            piece.firstMoment(),
            piece.secondMoment());
    forEachSlice(tensors, piece.shard(), buffers, at);
  }

  /**
   * What that would make of some of the values; nothing changes.
   *
   * @param part of the piece's
   * @param values float32, of that part: gets the new ones
   */
  void preview(
      List<ParameterBuffer.Slice> tensors,
      OptimizerState.Piece piece,
      Shard part,
      MemorySegment values,
      At at) {
    long start = piece.shard().from();
    values.copyFrom(part.in(piece.values(), start)); // of gaps between tensors, too
    Buffers buffers =
        new Buffers(
            part.in(piece.values(), start),
            part.in(piece.gradients(), start),
            part.in(piece.firstMoment(), start),
            part.in(piece.secondMoment(), start),
            values,
            null,
            null);
    forEachSlice(tensors, part, buffers, at);
  }

  /**
   * What {@link #update} would make of a piece's parameters; nothing changes yet.
   *
   * @param values float32, of the piece's parameters: gets the new ones
   */
  void preview(
      ParameterBuffer parameters, OptimizerState.Piece piece, MemorySegment values, At at) {
    Buffers buffers =
        new Buffers(
            piece.shard().of(parameters.values()),
            piece.gradients(),
            piece.firstMoment(),
            piece.secondMoment(),
            values,
            null,
            null);
    forEachSlice(parameters.slices(), piece.shard(), buffers, at);
  }

  /**
   * What {@link #update} would remember of some parameters.
   *
   * @param firstAfter may be {@code first}, as {@code secondAfter} may be {@code second}
   */
  void remember(
      MemorySegment first,
      MemorySegment second,
      MemorySegment gradients,
      MemorySegment firstAfter,
      MemorySegment secondAfter,
      At at) {
    Buffers buffers = new Buffers(null, gradients, first, second, null, firstAfter, secondAfter);
    update(new Shard(0, first.byteSize() / Float.BYTES), buffers, 1, at);
  }

  /** Weight decay is a slice's own. */
  private void forEachSlice(
      List<ParameterBuffer.Slice> tensors, Shard shard, Buffers buffers, At at) {
    for (ParameterBuffer.Slice slice : tensors) {
      Shard part = shard.and(new Shard(slice.offset(), slice.offset() + slice.size()));
      float decay = decay(slice.decays(), at);
      if (part.size() > 0) {
        update(new Shard(part.from() - shard.from(), part.to() - shard.from()), buffers, decay, at);
      }
    }
  }

  /**
   * @param part by places in the buffers
   */
  private void update(Shard part, Buffers buffers, float decay, At at) {
    if (!buffers.areFiled()) {
      updateAtOnce(part, buffers, decay, at);
      return;
    }
    for (long from = part.from(); from < part.to(); from += FILED_PIECE) {
      Shard piece = new Shard(from, Math.min(part.to(), from + FILED_PIECE));
      buffers.ahead(piece.to(), piece.size());
      updateAtOnce(piece, buffers, decay, at);
      buffers.letGo(piece);
    }
  }

  private void updateAtOnce(Shard part, Buffers buffers, float decay, At at) {
    Factors factors = factors(at);
    int blocks = Math.toIntExact(Math.ceilDiv(part.size(), (long) BLOCK));
    Parallel.rows(
        // Parameters and both moments are read and written, gradients read.
        new Parallel.Cost("AdamW", 0, 7.0 * Float.BYTES * part.size()),
        blocks,
        GRAIN,
        (from, to) -> {
          Block block = new Block();
          for (int i = from; i < to; i++) {
            long first = part.from() + (long) i * BLOCK;
            int count = (int) Math.min(BLOCK, part.to() - first);
            block.read(buffers, first, count);
            update(block, count, decay, factors);
            block.write(buffers, first, count);
          }
        });
  }

  private static void update(Block block, int count, float decay, Factors factors) {
    float[] p = block.parameters;
    float[] gradients = block.gradients;
    float[] m = block.firstMoment;
    float[] v = block.secondMoment;
    float negativeStepSize = factors.negativeStepSize();
    float rootCorrection = factors.rootCorrection();
    float gradientScale = factors.gradientScale();
    float gain1 = factors.gain1();
    float keep2 = factors.keep2();
    float gain2 = factors.gain2();
    float eps = factors.epsilon();
    for (int i = 0; i < count; i++) {
      float g = gradients[i] * gradientScale;
      float m1 = m[i] + (g - m[i]) * gain1;
      float v1 = v[i] * keep2 + g * gain2 * g;
      float root = (float) Math.sqrt(v1) / rootCorrection + eps;
      m[i] = m1;
      v[i] = v1;
      p[i] = p[i] * decay + m1 * negativeStepSize / root;
    }
  }

  /** What an update reads and writes, by the same places; what it can do without is null. */
  private record Buffers(
      @Nullable MemorySegment values,
      MemorySegment gradients,
      MemorySegment firstMoment,
      MemorySegment secondMoment,
      @Nullable MemorySegment newValues,
      @Nullable MemorySegment newFirstMoment,
      @Nullable MemorySegment newSecondMoment) {
    boolean areFiled() {
      return FiledMemory.is(firstMoment);
    }

    private List<MemorySegment> thatMayBeFiled() {
      return values == null
          ? List.of(gradients, firstMoment, secondMoment)
          : List.of(values, gradients, firstMoment, secondMoment);
    }

    void ahead(long from, long size) {
      for (MemorySegment buffer : thatMayBeFiled()) {
        long to = Math.min(from + size, buffer.byteSize() / Float.BYTES);
        if (from < to) {
          FiledMemory.ahead(new Shard(from, to).of(buffer));
        }
      }
    }

    void letGo(Shard part) {
      thatMayBeFiled().forEach(buffer -> FiledMemory.letGo(part.of(buffer)));
    }
  }

  /** A few thousand elements on the heap, where the compiler makes vectors of a plain loop. */
  private static final class Block {
    private final float[] parameters = new float[BLOCK];
    private final float[] gradients = new float[BLOCK];
    private final float[] firstMoment = new float[BLOCK];
    private final float[] secondMoment = new float[BLOCK];

    void read(Buffers buffers, long first, int count) {
      read(buffers.values(), parameters, first, count);
      read(buffers.gradients(), gradients, first, count);
      read(buffers.firstMoment(), firstMoment, first, count);
      read(buffers.secondMoment(), secondMoment, first, count);
    }

    void write(Buffers buffers, long first, int count) {
      write(parameters, buffers.newValues(), first, count);
      write(firstMoment, buffers.newFirstMoment(), first, count);
      write(secondMoment, buffers.newSecondMoment(), first, count);
    }

    private static void read(@Nullable MemorySegment from, float[] to, long first, int count) {
      if (from != null) {
        MemorySegment.copy(from, FLOAT, first * Float.BYTES, to, 0, count);
      }
    }

    private static void write(float[] from, @Nullable MemorySegment to, long first, int count) {
      if (to != null) {
        MemorySegment.copy(from, 0, to, FLOAT, first * Float.BYTES, count);
      }
    }
  }
}
