package org.ftcluster.worker.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Phaser;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.model.CausalLanguageModel;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.ModelConfigReader;
import org.ftcluster.worker.model.ModelLoader;
import org.ftcluster.worker.model.ModelPart;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.model.Span;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.optimizer.GradientSum;

/**
 * How long ranks of this process compute, when none of them sends anything: each takes the same
 * micro-batches through slices of all layers, while others do the same with slices of their own.
 * Those of one layer meet wherever they would sum or gather, and all of them after some
 * micro-batches, so that each waits for the slowest.
 */
final class ComputeRates implements AutoCloseable {
  private static final long LIMIT_MINUTES = 10;
  private static final int PASSES = 31;

  private final JobSpec job;
  private final List<MicroBatch> microBatches;
  private final int slices;
  private final int microBatchesPerMeeting;
  private final RankThreads threads;
  private final List<Rank> ranks;

  /** A rank's model. */
  private record Rank(ParameterBuffer parameters, CausalLanguageModel model)
      implements AutoCloseable {
    static Rank load(JobSpec job, int slices) {
      ModelConfig config = ModelConfigReader.read(job.model().path());
      ModelPart part = ModelPart.of(config, new Span(0, config.layers()), 0, slices);
      int threads = job.resources().threads();
      ParameterBuffer parameters =
          ModelLoader.newParameters(job.model(), job.adapter(), MemorySavings.NONE);
      CausalLanguageModel model =
          ModelLoader.loadPart(
              job.model(), job.adapter(), MemorySavings.NONE, threads, part, parameters, null);
      model.connect(new SilentGroup(slices), new SilentGroup(1), Duration.ZERO);
      model.initialize(job.training().seed());
      return new Rank(parameters, model);
    }

    @Override
    public void close() {
      model.close();
      parameters.close();
    }
  }

  /**
   * Loads what they compute with.
   *
   * @param slices that a layer is cut into
   * @param microBatchesPerMeeting that a rank takes before it waits for all others
   * @param ranks that are at work at once, at most
   */
  ComputeRates(
      JobSpec job,
      List<MicroBatch> microBatches,
      int slices,
      int microBatchesPerMeeting,
      int ranks) {
    this.job = job;
    this.microBatches = microBatches;
    this.slices = slices;
    this.microBatchesPerMeeting = microBatchesPerMeeting;
    this.threads = new RankThreads(ranks);
    this.ranks = threads.start(rank -> Rank.load(job, slices));
  }

  /**
   * Times them once.
   *
   * @param working how many ranks are at work at once
   * @return seconds until each of them has taken all micro-batches
   */
  double seconds(int working) {
    Phaser all = new Phaser(working);
    List<CyclicBarrier> layers =
        IntStream.range(0, working / slices).mapToObj(i -> new CyclicBarrier(slices)).toList();
    return threads
        .run(
            working,
            rank -> {
              CausalLanguageModel model = ranks.get(rank).model();
              boolean together = slices > 1 && rank / slices < layers.size();
              SilentGroup group =
                  new SilentGroup(slices, together ? layers.get(rank / slices) : null);
              model.connect(group, new SilentGroup(1), Duration.ZERO);
              try {
                return seconds(model, all);
              } finally {
                all.arriveAndDeregister(); // nobody waits for one that has failed
              }
            })
        .getFirst();
  }

  private double seconds(CausalLanguageModel model, Phaser all) throws Exception {
    meet(all);
    long startNs = System.nanoTime();
    for (int i = 0; i < microBatches.size(); i++) {
      if (i > 0 && i % microBatchesPerMeeting == 0) {
        meet(all);
      }
      TokenBatch tokens = microBatches.get(i).tokens();
      if (job.asksBase()) {
        model.losses(tokens, false);
      }
      model.forwardBackward(tokens, 1, 0);
    }
    meet(all);
    return (System.nanoTime() - startNs) / 1e9;
  }

  private static void meet(Phaser all) throws Exception {
    all.awaitAdvanceInterruptibly(all.arrive(), LIMIT_MINUTES, TimeUnit.MINUTES);
  }

  /** Bytes a second that a pass over a buffer reads and writes: one that sums gradients up. */
  double memoryBytes(long parameters) {
    JobSpec.Reduction reduction = job.training().reduction();
    double[] seconds = new double[PASSES];
    try (Arena arena = Arena.ofConfined();
        GradientSum sum = GradientSum.of(reduction, parameters, 0)) {
      MemorySegment gradients = arena.allocate(parameters * Float.BYTES, 64);
      sum.start(PASSES);
      for (int i = 0; i < PASSES; i++) {
        long startNs = System.nanoTime();
        sum.add(gradients, 0);
        seconds[i] = (System.nanoTime() - startNs) / 1e9;
      }
    }
    int each = Float.BYTES + 2 * reduction.sumBytes();
    return each * parameters / Medians.of(seconds);
  }

  @Override
  public void close() {
    threads.end(ranks);
  }
}
