package org.ftcluster.worker.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.model.CausalLanguageModel;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.ModelConfigReader;
import org.ftcluster.worker.model.ModelLoader;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.GradientClip;
import org.ftcluster.worker.optimizer.OptimizerState;

/**
 * Times whole training steps (forward, backward, clipping, AdamW) of a model of a given shape with
 * random weights, in this process.
 */
public final class StepBenchmark {
  /**
   * What to measure: {@code batch} sequences of {@code sequence} tokens, all of which carry a loss.
   */
  public record Settings(
      Path config,
      JobSpec.AdapterType adapter,
      JobSpec.Quantization quantization,
      JobSpec.ComputeType dtype,
      int rank,
      int batch,
      int sequence,
      int steps,
      boolean recompute,
      int threads) {}

  /**
   * What was measured; the first step is left out.
   *
   * @param stepSeconds median
   * @param gflops billions of floating-point operations a second, counting two for each weight and
   *     token in the forward, two in the backward, two more where weights are trained, and two more
   *     where the forward is computed again; attention is not counted
   * @param peakRssBytes the most memory that the process has held
   */
  public record Result(
      double stepSeconds, double tokensPerSecond, double gflops, long peakRssBytes) {}

  private StepBenchmark() {}

  /**
   * Runs {@code steps + 1} steps. To be called on a thread that runs nothing else with libtorch.
   */
  public static Result run(Settings settings) throws IOException {
    ModelConfig config = ModelConfigReader.read(settings.config());
    var model = new JobSpec.Model(settings.config(), settings.dtype(), settings.quantization());
    var adapter =
        new JobSpec.Adapter(
            settings.adapter(),
            settings.rank(),
            2 * settings.rank(),
            0,
            List.of("all-linear"),
            false,
            null);
    try (CausalLanguageModel loaded =
        ModelLoader.loadRandom(config, model, adapter, settings.recompute(), settings.threads())) {
      double[] seconds = time(loaded, batch(settings, config.vocabularySize()), settings.steps());
      Arrays.sort(seconds);
      double median = seconds[seconds.length / 2];
      double tokens = (double) settings.batch() * settings.sequence();
      double operations = operationsPerWeight(settings) * parameters(config) * tokens;
      return new Result(median, tokens / median, operations / median / 1e9, peakRssBytes());
    }
  }

  private static double[] time(CausalLanguageModel model, TokenBatch batch, int steps) {
    AdamW optimizer = new AdamW(0.9, 0.999, 1e-8, 0);
    var parameters = model.parameters();
    double[] seconds = new double[steps];
    model.initialize(1);
    try (OptimizerState state = new OptimizerState(parameters.size())) {
      for (int step = 0; step <= steps; step++) {
        long start = System.nanoTime();
        model.forwardBackward(batch, 1.0 / batch.targetCount(), step);
        double norm = GradientClip.norm(parameters.gradients());
        optimizer.update(parameters, state, step + 1, 1e-4, GradientClip.scale(norm, 1));
        model.parametersChanged();
        if (step > 0) {
          seconds[step - 1] = (System.nanoTime() - start) / 1e9;
        }
      }
    }
    return seconds;
  }

  /** For each token that it meets. */
  private static double operationsPerWeight(Settings settings) {
    double operations =
        switch (settings.adapter()) {
          case LORA -> 4;
          case NONE -> 6;
        };
    return settings.recompute() ? operations + 2 : operations;
  }

  private static TokenBatch batch(Settings settings, int vocabulary) {
    int tokens = settings.batch() * settings.sequence();
    SplittableRandom random = new SplittableRandom(3);
    int[] lengths = new int[settings.batch()];
    Arrays.fill(lengths, settings.sequence());
    return new TokenBatch(
        random.ints(tokens, 0, vocabulary).toArray(),
        random.ints(tokens, 0, vocabulary).toArray(),
        lengths);
  }

  /** Weights of the linear layers and the head, each of which meets each token in a product. */
  private static double parameters(ModelConfig config) {
    double hidden = config.hiddenSize();
    double attention = hidden * (2.0 * config.querySize() + 2.0 * config.keyValueSize());
    double feedForward = 3 * hidden * config.intermediateSize();
    return config.layers() * (attention + feedForward) + hidden * config.vocabularySize();
  }

  private static long peakRssBytes() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("VmHWM:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
        .findFirst()
        .orElse(0);
  }
}
