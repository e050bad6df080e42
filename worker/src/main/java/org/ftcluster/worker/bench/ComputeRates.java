package org.ftcluster.worker.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
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
import org.ftcluster.worker.optimizer.GradientSum;

/**
 * How long ranks of this process compute, when none of them sends anything: each takes the same
 * micro-batches through slices of all layers, while others do the same with slices of their own.
 * Those of one layer meet wherever they would sum or gather, so that each waits for the slowest.
 */
final class ComputeRates {
  private static final long LIMIT_MINUTES = 10;
  private static final int PASSES = 31;

  private final JobSpec job;
  private final List<MicroBatch> microBatches;

  ComputeRates(JobSpec job, List<MicroBatch> microBatches) {
    this.job = job;
    this.microBatches = microBatches;
  }

  /**
   * Times them.
   *
   * @param slices that a layer is cut into
   * @param ranks that are at work at once
   * @param rounds of which the median counts
   * @return seconds that a rank takes for all micro-batches
   */
  double seconds(int slices, int ranks, int rounds) {
    CyclicBarrier barrier = new CyclicBarrier(ranks);
    List<Callable<double[]>> bodies = new ArrayList<>();
    SilentGroup group = new SilentGroup(slices);
    for (int rank = 0; rank < ranks; rank++) {
      if (rank % slices == 0 && ranks - rank >= slices && slices > 1) {
        group = new SilentGroup(slices, new CyclicBarrier(slices));
      }
      SilentGroup sliceGroup = group;
      bodies.add(() -> rank(sliceGroup, rounds, barrier));
    }
    List<double[]> times = together(bodies, LIMIT_MINUTES);
    double[] means = new double[rounds];
    for (int round = 0; round < rounds; round++) {
      for (double[] rank : times) {
        means[round] += rank[round] / ranks;
      }
    }
    return median(means);
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
    return each * parameters / median(seconds);
  }

  static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return sorted[sorted.length / 2];
  }

  private double[] rank(SilentGroup slices, int rounds, CyclicBarrier barrier) throws Exception {
    ModelConfig config = ModelConfigReader.read(job.model().path());
    ModelPart part = ModelPart.of(config, new Span(0, config.layers()), 0, slices.size());
    int threads = job.resources().threads();
    double[] seconds = new double[rounds];
    try (ParameterBuffer parameters =
            ModelLoader.newParameters(job.model(), job.adapter(), MemorySavings.NONE);
        CausalLanguageModel model =
            ModelLoader.loadPart(
                job.model(), job.adapter(), MemorySavings.NONE, threads, part, parameters, null)) {
      model.connect(slices, new SilentGroup(1), Duration.ZERO);
      model.initialize(job.training().seed());
      for (int round = -1; round < rounds; round++) {
        barrier.await(LIMIT_MINUTES, TimeUnit.MINUTES);
        long startNs = System.nanoTime();
        for (MicroBatch micro : microBatches) {
          model.forwardBackward(micro.tokens(), 1, 0);
        }
        if (round >= 0) {
          seconds[round] = (System.nanoTime() - startNs) / 1e9;
        }
      }
    }
    return seconds;
  }

  private static <T> List<T> together(List<Callable<T>> bodies, long minutes) {
    try (ExecutorService threads =
        Executors.newFixedThreadPool(
            bodies.size(), Thread.ofPlatform().daemon().name("bench-", 0).factory())) {
      List<Future<T>> running = new ArrayList<>();
      bodies.forEach(body -> running.add(threads.submit(body)));
      List<T> results = new ArrayList<>();
      for (Future<T> rank : running) {
        results.add(rank.get(minutes, TimeUnit.MINUTES));
      }
      return results;
    } catch (ExecutionException e) {
      throw new IllegalStateException("a rank failed: " + e.getCause().getMessage(), e.getCause());
    } catch (TimeoutException e) {
      throw new IllegalStateException("a rank hangs", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    }
  }
}
