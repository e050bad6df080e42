package org.ftcluster.worker.bench;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.model.CausalLanguageModel;
import org.ftcluster.worker.model.DeviceParameters;
import org.ftcluster.worker.model.GradientListener;
import org.ftcluster.worker.model.MemoryEstimate;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.ModelConfigReader;
import org.ftcluster.worker.model.ModelLoader;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.DeviceGradientSum;
import org.ftcluster.worker.optimizer.GradientClip;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.ftcluster.worker.optimizer.ParameterUpdate;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.cuda.CudaDevice;
import org.jspecify.annotations.Nullable;

/**
 * Times whole training steps (forward, backward, sum, clipping, AdamW) of a model of a given shape
 * with random weights, in this process.
 */
public final class StepBenchmark {
  /** What to measure. */
  public record Settings(
      Path config,
      JobSpec.AdapterType adapter,
      JobSpec.Quantization quantization,
      JobSpec.ComputeType dtype,
      int rank,
      double dropout,
      SyntheticBatches batches,
      int steps,
      MemorySavings savings,
      int threads,
      boolean profile,
      JobSpec.Device device) {}

  /**
   * What was measured; the first step is left out.
   *
   * @param stepSeconds median, as are the rates of steps
   * @param gflops billions of floating-point operations a second, counting two for each weight and
   *     token in the forward, two in the backward, two more where weights are trained, and two more
   *     where the forward is computed again; of the head for tokens that carry a loss, of layers
   *     for all, though the last one's feed-forward has the former only; attention is not counted
   * @param peakRssBytes the most memory that the process has held
   * @param peakGpuBytes the most memory of the GPU that was taken; null on a CPU
   * @param predictedBytes what {@link MemoryEstimate} says of that
   * @param profile where the time went; null where it wasn't asked for
   */
  public record Result(
      double stepSeconds,
      double tokensPerSecond,
      double gflops,
      long peakRssBytes,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Long peakGpuBytes,
      long predictedBytes,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable StepProfile profile) {}

  /**
   * Where the time of the mean step goes.
   *
   * @param stepSeconds mean
   * @param operations of one step, the longest first
   */
  public record StepProfile(double stepSeconds, List<Profile.Sum> operations) {}

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
            settings.dropout(),
            List.of("all-linear"),
            false,
            null);
    JobSpec.Reduction reduction = reduction(settings.adapter());
    MemoryEstimate predicted =
        MemoryEstimate.of(
            config,
            new MemoryEstimate.Training(model, adapter, reduction, settings.device()),
            settings.savings(),
            settings.batches().largest(settings.steps() + 1));
    Accelerator gpu =
        switch (settings.device()) {
          case CPU -> null;
          case CUDA -> CudaDevice.open(0);
        };
    long free = gpu == null ? 0 : gpu.freeBytes();
    try (gpu;
        CausalLanguageModel loaded =
            ModelLoader.loadRandom(
                config, model, adapter, settings.savings(), settings.threads(), gpu);
        GradientSum sum = sum(reduction, loaded.parameters(), settings.savings())) {
      Times times = time(loaded, sum, settings);
      double perWeight = operationsPerWeight(settings);
      return new Result(
          times.median(step -> step.seconds()),
          times.median(step -> step.tokens() / step.seconds()),
          times.median(step -> perWeight * meetings(config, step) / step.seconds() / 1e9),
          peakRssBytes(),
          gpu == null ? null : free - gpu.freeBytes(), // what was taken stays taken
          predicted.total(),
          times.profile());
    }
  }

  /**
   * One step.
   *
   * @param targets tokens that carry a loss
   */
  private record Step(double seconds, int tokens, int targets) {}

  private record Times(List<Step> steps, @Nullable StepProfile profile) {
    double median(ToDoubleFunction<Step> figure) {
      return Medians.of(steps.stream().mapToDouble(figure).toArray());
    }
  }

  private static Times time(CausalLanguageModel model, GradientSum sum, Settings settings) {
    var parameters = model.parameters();
    List<Step> steps = new ArrayList<>();
    model.initialize(1);
    GradientListener listener =
        new GradientListener() {
          @Override
          public void complete(long from) {}

          @Override
          public boolean takesFromDevice() {
            return sum.takesFromDevice();
          }
        };
    try (OptimizerState state =
            OptimizerState.whole(parameters.size(), settings.savings().optimizer().folder());
        ParameterUpdate update =
            ParameterUpdate.whole(
                new AdamW(0.9, 0.999, 1e-8, 0),
                parameters,
                updating(parameters, settings.savings()),
                state)) {
      @Nullable Profile profile = null;
      for (int step = 0; step <= settings.steps(); step++) {
        TokenBatch batch = settings.batches().batch(step, model.config().vocabularySize());
        if (step == 1 && settings.profile()) {
          profile = Profile.start();
        }
        long start = System.nanoTime();
        sum.start(1);
        double loss = model.forwardBackward(batch, 1.0 / batch.targetCount(), step, listener);
        sum.add(parameters.gradients(), loss);
        double norm = update.gradientNorm();
        update.apply(new AdamW.At(step + 1, 1e-4, GradientClip.scale(norm, 1)));
        model.parametersChanged();
        if (step > 0) {
          double seconds = (System.nanoTime() - start) / 1e9;
          steps.add(new Step(seconds, batch.tokenCount(), batch.targetCount()));
        }
      }
      return new Times(steps, profile == null ? null : perStep(profile, steps));
    }
  }

  /** The GPU that gradients stay on; else null. */
  private static @Nullable DeviceParameters updating(
      ParameterBuffer parameters, MemorySavings savings) {
    return savings.optimizesOnDevice() ? parameters.device() : null;
  }

  private static GradientSum sum(
      JobSpec.Reduction reduction, ParameterBuffer parameters, MemorySavings savings) {
    DeviceParameters device = updating(parameters, savings);
    return device == null
        ? GradientSum.of(reduction, parameters.size(), 0)
        : new DeviceGradientSum(reduction, device, 0, null, false, false);
  }

  /** As jobs have it by default. */
  private static JobSpec.Reduction reduction(JobSpec.AdapterType adapter) {
    return switch (adapter) {
      case LORA -> JobSpec.Reduction.EXACT;
      case NONE -> JobSpec.Reduction.FAST;
    };
  }

  /** For each token that it meets. */
  private static double operationsPerWeight(Settings settings) {
    double operations =
        switch (settings.adapter()) {
          case LORA -> 4;
          case NONE -> 6;
        };
    return settings.savings().recomputedLayers() > 0 ? operations + 2 : operations;
  }

  private static StepProfile perStep(Profile profile, List<Step> steps) {
    return new StepProfile(
        steps.stream().mapToDouble(Step::seconds).average().orElseThrow(),
        profile.stop().stream().map(sum -> sum.per(steps.size())).toList());
  }

  /** How often a weight of the linear layers or of the head meets a token in a product. */
  private static double meetings(ModelConfig config, Step step) {
    double layers = (double) config.layers() * config.layerWeights();
    double head = (double) config.hiddenSize() * config.vocabularySize();
    return layers * step.tokens() + head * step.targets();
  }

  private static long peakRssBytes() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("VmHWM:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
        .findFirst()
        .orElse(0);
  }
}
