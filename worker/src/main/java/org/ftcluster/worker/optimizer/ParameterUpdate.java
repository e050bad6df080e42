package org.ftcluster.worker.optimizer;

import org.ftcluster.worker.model.DeviceParameters;
import org.ftcluster.worker.model.ParameterBuffer;
import org.jspecify.annotations.Nullable;

/** From a step's summed gradients to its parameters, on all ranks alike. */
public interface ParameterUpdate extends AutoCloseable {
  /**
   * One that every rank does all of.
   *
   * @param device where it is done, with the buffer's copy there; null on the host
   */
  static ParameterUpdate whole(
      AdamW adamW,
      ParameterBuffer parameters,
      @Nullable DeviceParameters device,
      OptimizerState state) {
    return device == null
        ? new Whole(adamW, parameters, state)
        : new DeviceUpdate(adamW, parameters, device, state);
  }

  /**
   * The L2 norm over the gradients of all parameters, the same bits on all ranks.
   *
   * @throws org.ftcluster.worker.collective.CollectiveException when a rank was lost
   */
  double gradientNorm();

  /**
   * Writes new parameters, and what is remembered for the next ones; all of it, or nothing.
   *
   * @throws org.ftcluster.worker.collective.CollectiveException when a rank was lost: nothing has
   *     changed
   */
  void apply(AdamW.At at);

  /**
   * Brings what is newer in an accelerator's memory to the host's, to be read there: values, and
   * what is remembered.
   *
   * @throws RuntimeException when it can't: what the host has is then of no use
   */
  default void bringToHost() {}

  /** Gives an accelerator's memory back, and what is in it only. */
  @Override
  default void close() {}

  /** Every rank does all of it. */
  record Whole(AdamW adamW, ParameterBuffer parameters, OptimizerState state)
      implements ParameterUpdate {
    @Override
    public double gradientNorm() {
      return GradientClip.norm(parameters.gradients());
    }

    @Override
    public void apply(AdamW.At at) {
      adamW.update(parameters, state, at);
    }
  }
}
