package org.ftcluster.worker.data;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.ftcluster.protocol.job.JobSpec;

/**
 * All global batches of a job: a function of (data, seed, step) and of nothing else, so that any
 * number of ranks, at any time, agree on who learns what.
 *
 * <p>Each epoch is its own {@link EpochPlan}. Its rows are cut into global batches of {@code
 * global_batch_size} rows, of which the last may be smaller, and these into micro-batches of {@code
 * micro_batch_size} rows. A step costs the same wherever it is in the job: plans are kept for the
 * epochs in use, and made again when they are asked for later. Any thread may use one.
 */
public final class GlobalBatches {
  /** Plans in memory: an epoch and the next. */
  private static final int KEPT_PLANS = 2;

  private final Dataset data;
  private final long seed;
  private final int globalBatchSize;
  private final int microBatchSize;
  private final int packedLength; // 0 without packing
  private final long steps;

  /** Steps before each epoch, as far as it is known; packing gives epochs different lengths. */
  private final List<Long> firstSteps = new ArrayList<>(List.of(0L));

  private final Map<Long, EpochPlan> plans = new LinkedHashMap<>();

  /**
   * The batches of a job.
   *
   * @param data its {@code data.train}
   */
  public GlobalBatches(Dataset data, JobSpec spec) {
    this(data, spec.training(), spec.data().packing() ? spec.data().maxLength() : 0);
  }

  GlobalBatches(Dataset data, JobSpec.Training training, int packedLength) {
    this.data = data;
    this.seed = training.seed();
    this.globalBatchSize = training.globalBatchSize();
    this.microBatchSize = training.microBatchSize();
    this.packedLength = packedLength;
    this.steps =
        training.maxSteps() > 0
            ? training.maxSteps()
            : stepsOf(BigDecimal.valueOf(training.numTrainEpochs()));
  }

  /** Optimizer steps of the whole job. */
  public long steps() {
    return steps;
  }

  /**
   * The batch of one step.
   *
   * @param step from 0; beyond {@link #steps} the epochs go on
   */
  public GlobalBatch batch(long step) {
    if (step < 0) {
      throw new IllegalArgumentException("step " + step);
    }
    long epoch = epochOf(step);
    EpochPlan plan = plan(epoch);
    long stepInEpoch = step - firstStep(epoch);
    int from = Math.toIntExact(stepInEpoch * globalBatchSize);
    int to = (int) Math.min(plan.rows(), (long) from + globalBatchSize);
    List<MicroBatch> microBatches = new ArrayList<>();
    for (int row = from; row < to; row += microBatchSize) {
      int end = (int) Math.min(to, (long) row + microBatchSize);
      microBatches.add(new MicroBatch(microBatches.size(), plan.samplesIn(row, end), data));
    }
    long targetTokens = 0;
    long tokens = 0;
    int[] samples = plan.samplesIn(from, to);
    for (int sample : samples) {
      targetTokens += data.targetCount(sample);
      tokens += data.length(sample);
    }
    return new GlobalBatch(
        step,
        epoch + (stepInEpoch + 1.0) / stepsIn(plan),
        List.copyOf(microBatches),
        targetTokens,
        samples.length,
        tokens);
  }

  private long stepsOf(BigDecimal epochs) {
    long whole = epochs.longValue();
    BigDecimal rest = epochs.subtract(BigDecimal.valueOf(whole));
    long steps = firstStep(whole);
    if (rest.signum() > 0) {
      BigDecimal last = rest.multiply(BigDecimal.valueOf(stepsIn(plan(whole))));
      steps += last.setScale(0, RoundingMode.CEILING).longValueExact();
    }
    return steps;
  }

  private synchronized long epochOf(long step) {
    if (packedLength == 0) {
      return step / unpackedSteps();
    }
    int epoch = firstSteps.size() - 1;
    while (firstStep(epoch + 1) <= step) {
      epoch++;
    }
    while (firstStep(epoch) > step) {
      epoch--;
    }
    return epoch;
  }

  private synchronized long firstStep(long epoch) {
    if (packedLength == 0) {
      return epoch * unpackedSteps();
    }
    while (firstSteps.size() <= epoch) {
      firstSteps.add(firstSteps.getLast() + stepsIn(plan(firstSteps.size() - 1)));
    }
    return firstSteps.get((int) epoch);
  }

  private long unpackedSteps() {
    return Math.ceilDiv(data.size(), globalBatchSize);
  }

  private long stepsIn(EpochPlan plan) {
    return Math.ceilDiv(plan.rows(), globalBatchSize);
  }

  private synchronized EpochPlan plan(long epoch) {
    EpochPlan plan = plans.get(epoch);
    if (plan == null) {
      plan =
          packedLength == 0
              ? EpochPlan.unpacked(data.size(), seed, epoch)
              : EpochPlan.packed(data.size(), seed, epoch, data::length, packedLength);
      if (plans.size() == KEPT_PLANS) {
        plans.remove(plans.keySet().iterator().next());
      }
      plans.put(epoch, plan);
    }
    return plan;
  }
}
