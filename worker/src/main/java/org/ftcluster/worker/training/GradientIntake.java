package org.ftcluster.worker.training;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.parallel.Replica;
import org.jspecify.annotations.Nullable;

/**
 * Puts what a step's micro-batches leave into its sum.
 *
 * @param lossScale makes a loss the micro-batch's share of the step's
 */
record GradientIntake(
    GradientSum sum, MeshRanks ranks, ParameterBuffer parameters, Pulse pulse, double lossScale)
    implements Replica.Listener {
  @Override
  public void done(double lossSum) {
    pulse.end();
    sum.add(parameters.gradients(), ranks.countsLoss() ? lossSum * lossScale : 0);
  }

  @Override
  public void complete(long from, boolean last) {
    if (ranks.mesh().size() > 1) {
      Runnable add = () -> sum.addEarly(ranks.background(), parameters.gradients(), from, last);
      if (sum.waitsEarly()) {
        pulse.whileWaiting(add);
      } else {
        add.run();
      }
    }
  }

  @Override
  public boolean takesFromDevice() {
    return sum.takesFromDevice();
  }

  @Override
  public Work complete(int unit, @Nullable MemorySegment gradients) {
    return sum.addUnit(unit, gradients);
  }

  @Override
  public void nothing() {
    pulse.forget();
    sum.addNothing();
  }
}
