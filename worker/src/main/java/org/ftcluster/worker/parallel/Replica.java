package org.ftcluster.worker.parallel;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.model.GradientListener;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.model.TrainableModel;
import org.jspecify.annotations.Nullable;

/**
 * A copy of the model, as one of the ranks that hold it between them sees it. All of them make the
 * same calls, each on its own thread.
 */
public interface Replica {
  /** Hears what a micro-batch has left. */
  interface Listener {
    /**
     * This rank's share of the gradient is where the parameters have their gradients, until this
     * returns; or has been heard of unit by unit.
     *
     * @param lossSum over the micro-batch's targets, or its pairs; 0 on ranks that don't know it
     */
    void done(double lossSum);

    /**
     * While a micro-batch is still in its backward, the gradients that it leaves are complete from
     * that parameter on; some ranks never say so.
     *
     * @param last whether this rank has no other one behind it
     */
    void complete(long from, boolean last);

    /** As {@link GradientListener#takesFromDevice}. */
    default boolean takesFromDevice() {
      return false;
    }

    /** As {@link GradientListener#complete(int, MemorySegment)}. */
    Work complete(int unit, @Nullable MemorySegment gradients);

    /** Another copy of the model has had a micro-batch, and this one none. */
    void nothing();

    /**
     * Hears of one micro-batch's gradients.
     *
     * @param last whether this rank has no other one behind it
     */
    default GradientListener gradients(boolean last) {
      return new GradientListener() {
        @Override
        public void complete(long from) {
          Listener.this.complete(from, last);
        }

        @Override
        public boolean takesFromDevice() {
          return Listener.this.takesFromDevice();
        }

        @Override
        public Work complete(int unit, @Nullable MemorySegment gradients) {
          return Listener.this.complete(unit, gradients);
        }
      };
    }
  }

  /**
   * What is the same for all micro-batches of a step.
   *
   * @param most micro-batches that any copy of the model has
   * @param lossScale factor on the losses
   * @param tokens of a micro-batch, and how its losses count
   * @param dropoutSeed decides a micro-batch's dropout
   * @param stopCheck called between micro-batches; throws to end it
   */
  record Step(
      int most,
      double lossScale,
      Function<MicroBatch, TokenBatch> tokens,
      ToLongFunction<MicroBatch> dropoutSeed,
      Runnable stopCheck) {}

  /**
   * Those of the trained tensors that this rank leaves gradients of, or another slice of its
   * layers.
   */
  List<ParameterBuffer.Slice> trained();

  /** Takes micro-batches forward and backward. */
  void train(List<MicroBatch> microBatches, Step step, Listener listener);

  /**
   * The sum of the losses over each sequence's targets, batch by batch; 0 on ranks that don't know
   * it.
   *
   * @param most batches that any copy of the model has
   * @param adapted false for the base alone, without what is trained beside it
   * @param stopCheck called between batches; throws to end it
   */
  List<double[]> losses(List<TokenBatch> batches, int most, boolean adapted, Runnable stopCheck);

  /** To be called after the parameters were written, before the next pass. */
  void parametersChanged();

  /** A model, or a slice of each of its layers: all that happens to a batch happens here. */
  record OneStage(TrainableModel model) implements Replica {
    @Override
    public List<ParameterBuffer.Slice> trained() {
      return model.parameters().slices();
    }

    @Override
    public void train(List<MicroBatch> microBatches, Step step, Listener listener) {
      for (int i = 0; i < microBatches.size(); i++) {
        MicroBatch micro = microBatches.get(i);
        step.stopCheck().run();
        long dropoutSeed = step.dropoutSeed().applyAsLong(micro);
        GradientListener gradients = listener.gradients(i == microBatches.size() - 1);
        listener.done(
            model.forwardBackward(
                step.tokens().apply(micro), step.lossScale(), dropoutSeed, gradients));
      }
      for (int i = microBatches.size(); i < step.most(); i++) {
        step.stopCheck().run();
        model.accompany(true, listener.gradients(false));
        listener.nothing();
      }
    }

    @Override
    public List<double[]> losses(
        List<TokenBatch> batches, int most, boolean adapted, Runnable stopCheck) {
      List<double[]> losses = new ArrayList<>();
      for (TokenBatch batch : batches) {
        stopCheck.run();
        losses.add(model.losses(batch, adapted));
      }
      for (int i = batches.size(); i < most; i++) {
        stopCheck.run();
        model.accompany(false, GradientListener.NONE);
      }
      return losses;
    }

    @Override
    public void parametersChanged() {
      model.parametersChanged();
    }
  }
}
