package org.ftcluster.worker.optimizer;

import org.ftcluster.worker.model.ParameterBuffer;

/** From a step's summed gradients to its parameters, on all ranks alike. */
public interface ParameterUpdate {
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
