package org.ftcluster.cli.model;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.protocol.job.JobSpec.AdapterType;
import org.ftcluster.protocol.job.JobSpec.ComputeType;
import org.ftcluster.protocol.job.JobSpec.Device;
import org.ftcluster.protocol.job.JobSpec.Quantization;
import org.ftcluster.protocol.job.JobSpec.QuantizationType;
import org.ftcluster.worker.bench.Ceilings;
import org.ftcluster.worker.bench.LoadBenchmark;
import org.ftcluster.worker.bench.StepBenchmark;
import org.ftcluster.worker.bench.SyntheticBatches;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.Tier;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.NativeException;
import org.ftcluster.worker.tensor.cuda.CudaDevice;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ftcluster bench}. */
@Command(
    name = "bench",
    description =
        "Times training steps of a model with random weights, in this process. The first step is"
            + " left out.",
    footer = {
      "",
      "Example:",
      "  ftcluster bench --config base/config.json --method qlora --batch 4 --seq 512 --steps 5"
    })
public final class BenchCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();

  @Option(
      names = "--config",
      paramLabel = "CONFIG.json",
      description = "The model's shape, as Hugging Face describes it.")
  private @Nullable Path config;

  @Option(
      names = "--method",
      paramLabel = "METHOD",
      defaultValue = "qlora",
      description = "full, lora, or qlora with the base quantized (default: qlora).")
  private Method method = Method.QLORA;

  @Option(
      names = "--quantization",
      paramLabel = "TYPE",
      description = "What qlora holds the base in: nf4 or int8 (default: nf4).")
  private @Nullable QuantizationType quantization;

  @Option(
      names = "--batch",
      paramLabel = "B",
      defaultValue = "4",
      description = "Sequences a step (default: 4).")
  private int batch;

  @Option(
      names = "--seq",
      paramLabel = "S",
      defaultValue = "512",
      description = "Tokens a sequence, or of the longest (default: 512).")
  private int sequence;

  @Option(
      names = "--shortest",
      paramLabel = "S",
      description =
          "Tokens of the shortest sequence; lengths are spread evenly up to --seq (default: as"
              + " --seq).")
  private @Nullable Integer shortest;

  @Option(
      names = "--answer",
      paramLabel = "SHARE",
      defaultValue = "1",
      description =
          "Share of a sequence's tokens, the last ones, that carries a loss (default: 1).")
  private double answer;

  @Option(
      names = "--steps",
      paramLabel = "N",
      defaultValue = "5",
      description = "Steps that count (default: 5).")
  private int steps;

  @Option(
      names = "--dtype",
      paramLabel = "TYPE",
      defaultValue = "bfloat16",
      description = "What to compute in: bfloat16 or float32 (default: bfloat16).")
  private ComputeType dtype = ComputeType.BFLOAT16;

  @Option(
      names = "--rank",
      paramLabel = "R",
      defaultValue = "16",
      description = "LoRA's r, on all linear layers (default: 16).")
  private int rank;

  @Option(
      names = "--dropout",
      paramLabel = "P",
      defaultValue = "0",
      description = "Share of LoRA's inputs that is dropped (default: 0).")
  private double dropout;

  @Option(
      names = "--gradient-checkpointing",
      description = "Compute each layer again in its backward.")
  private boolean recompute;

  @Option(
      names = "--offload",
      paramLabel = "DIR",
      description =
          "Read frozen weights from a file there, layer by layer, instead of keeping them.")
  private @Nullable Path offload;

  @Option(
      names = "--offload-optimizer",
      paramLabel = "DIR",
      description = "Keep what the optimizer remembers in a file there.")
  private @Nullable Path offloadOptimizer;

  @Option(
      names = "--offload-activations",
      paramLabel = "DIR",
      description =
          "Write what layers keep for their backward to a file there, and read it back in time.")
  private @Nullable Path offloadActivations;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads that compute (default: one a processor).")
  private int threads = Runtime.getRuntime().availableProcessors();

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "cpu",
      description = "What to compute on: cpu or cuda (default: cpu).")
  private Device device = Device.CPU;

  @Option(
      names = "--profile",
      description = "Also print where the time of a step goes, beside what the machine can do.")
  private boolean profile;

  @Option(
      names = "--ceilings",
      description = "Print what the machine can do at best: products and memory. No model is run.")
  private boolean ceilingsOnly;

  @Option(
      names = "--loading",
      description =
          "Time how a checkpoint of --config's shape is loaded, and quantized with --method qlora,"
              + " beside reading its file. It is written to the folder for temporary files.")
  private boolean loadingOnly;

  @Mixin private CollectiveOptions collectives = new CollectiveOptions();

  @Option(
      names = "--kernels",
      description =
          "Compare every kernel of this machine's GPU with the CPU's, and print how fast it is. No"
              + " model is run.")
  private boolean kernelsOnly;

  @Option(
      names = "--scaling",
      description =
          "Print how fast QLoRA of large models would be on 8 to 512 GPUs, by the model of a step's"
              + " time that `parallel: auto` uses. Nothing is measured.")
  private boolean scalingOnly;

  @Option(
      names = "--meshes",
      paramLabel = "JOB.yaml",
      description =
          "Time --turns of --steps of that job on one, two and four ranks of this process in every"
              + " kind of mesh, beside what is predicted. A rank takes the memory of two.")
  private @Nullable Path meshesOf;

  @Option(
      names = "--turns",
      paramLabel = "N",
      defaultValue = "5",
      description =
          "With --meshes: how often each mesh takes those steps, in turns with measuring what the"
              + " machine can do; medians count (default: 5).")
  private int turns;

  @Option(
      names = "--mirrors",
      paramLabel = "JOB.yaml",
      description =
          "Time --steps of that job on ranks of this process that divide its state, with mirrors"
              + " and without, in turns.")
  private @Nullable Path mirrorsOf;

  /** What is trained. */
  enum Method {
    FULL,
    LORA,
    QLORA
  }

  @Override
  public Integer call() throws IOException {
    Console console = common.console();
    if (ceilingsOnly) {
      Ceilings ceilings = ceilings();
      console.json(ceilings);
      console.text(ProfileTable.text(ceilings));
      return ExitCode.DONE.code();
    }
    if (meshesOf != null) {
      MeshTable.print(
          meshesOf, atLeastOne("--steps", steps), atLeastOne("--turns", turns), console);
      return ExitCode.DONE.code();
    }
    if (mirrorsOf != null) {
      MirrorTable.print(mirrorsOf, atLeastOne("--steps", steps), console);
      return ExitCode.DONE.code();
    }
    if (scalingOnly) {
      ScalingLines.print(console);
      return ExitCode.DONE.code();
    }
    if (collectives.only()) {
      CollectiveTable.print(
          atLeastOne("--sockets", collectives.sockets()), collectives.protection(), console);
      return ExitCode.DONE.code();
    }
    if (kernelsOnly) {
      return KernelTable.print(console) ? ExitCode.DONE.code() : ExitCode.FAILED.code();
    }
    if (config == null) {
      throw CommandException.badRequest("--config is missing; it is a model's config.json");
    }
    if (loadingOnly) {
      loading(config, console);
      return ExitCode.DONE.code();
    }
    StepBenchmark.Result result = step(config);
    console.json(result);
    console.text(
        String.format(
            Locale.ROOT,
            "step %.4f s  %,.0f tokens/s  %,.0f GFLOP/s  peak %.2f GB  (%.2f predicted)%s",
            result.stepSeconds(),
            result.tokensPerSecond(),
            result.gflops(),
            result.peakRssBytes() / 1e9,
            result.predictedBytes() / 1e9,
            result.peakGpuBytes() == null
                ? ""
                : String.format(Locale.ROOT, "  GPU %.2f GB", result.peakGpuBytes() / 1e9)));
    if (result.profile() != null) {
      console.text(ProfileTable.text(result.profile(), ceilings(), dtype));
    }
    return ExitCode.DONE.code();
  }

  private StepBenchmark.Result step(Path shape) throws IOException {
    try {
      return StepBenchmark.run(
          new StepBenchmark.Settings(
              shape,
              method == Method.FULL ? AdapterType.NONE : AdapterType.LORA,
              new Quantization(quantization(), true),
              dtype,
              atLeastOne("--rank", rank),
              share("--dropout", dropout),
              batches(),
              atLeastOne("--steps", steps),
              savings(),
              atLeastOne("--threads", threads),
              profile,
              device));
    } catch (NativeException e) {
      throw device == Device.CUDA ? noGpu(e) : CommandException.failed(e.getMessage()).because(e);
    }
  }

  private Ceilings ceilings() {
    return switch (device) {
      case CPU -> Ceilings.measure(atLeastOne("--threads", threads));
      case CUDA -> {
        try (Accelerator gpu = CudaDevice.open(0)) {
          yield Ceilings.measure(gpu);
        } catch (NativeException e) {
          throw noGpu(e);
        }
      }
    };
  }

  static CommandException noGpu(NativeException e) {
    return CommandException.failed("the GPU can't be used: " + e.getMessage()).because(e);
  }

  private void loading(Path shape, Console console) throws IOException {
    LoadBenchmark.Result result =
        LoadBenchmark.run(
            shape, dtype, new Quantization(quantization(), true), atLeastOne("--threads", threads));
    console.json(result);
    console.text(
        String.format(
            Locale.ROOT,
            "%.2f GB loaded in %.2f s, %.2f GB/s; read in %.2f s, %.2f GB/s",
            result.bytes() / 1e9,
            result.loadSeconds(),
            result.loadGigabytesPerSecond(),
            result.readSeconds(),
            result.readGigabytesPerSecond()));
  }

  private SyntheticBatches batches() {
    int longest = atLeastOne("--seq", sequence);
    int least = shortest == null ? longest : atLeastOne("--shortest", shortest);
    if (least > longest) {
      throw CommandException.badRequest(
          "--shortest is %d; give at most --seq, which is %d".formatted(least, longest));
    }
    if (!(answer > 0 && answer <= 1)) {
      throw CommandException.badRequest(
          "--answer is %s; give more than 0, up to 1".formatted(answer));
    }
    return new SyntheticBatches(atLeastOne("--batch", batch), least, longest, answer);
  }

  private MemorySavings savings() {
    if (device == Device.CUDA && (offload != null || offloadActivations != null)) {
      throw CommandException.badRequest(
          "--offload and --offload-activations are for --device cpu; leave them out");
    }
    return (recompute ? MemorySavings.RECOMPUTED : MemorySavings.NONE)
        .withParameters(Tier.disk(offload))
        .withOptimizer(Tier.disk(offloadOptimizer))
        .withActivations(Tier.disk(offloadActivations), Integer.MAX_VALUE);
  }

  private QuantizationType quantization() {
    if (method != Method.QLORA) {
      if (quantization != null) {
        throw CommandException.badRequest(
            "--quantization goes with --method qlora only; leave it out");
      }
      return QuantizationType.NONE;
    }
    if (quantization == QuantizationType.NONE) {
      throw CommandException.badRequest(
          "--quantization is none; give nf4 or int8, or --method lora");
    }
    return quantization == null ? QuantizationType.NF4 : quantization;
  }

  private static int atLeastOne(String option, int value) {
    if (value < 1) {
      throw CommandException.badRequest("%s is %d; give at least 1".formatted(option, value));
    }
    return value;
  }

  private static double share(String option, double value) {
    if (!(value >= 0 && value < 1)) {
      throw CommandException.badRequest("%s is %s; give 0 up to 1".formatted(option, value));
    }
    return value;
  }
}
