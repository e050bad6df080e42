package org.ftcluster.cli.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.ComputeType;
import org.ftcluster.protocol.job.JobSpec.Device;
import org.ftcluster.protocol.job.JobSpec.Quantization;
import org.ftcluster.protocol.job.JobSpec.QuantizationType;
import org.ftcluster.protocol.job.JobSpec.Resources;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.worker.inference.LoadedModel;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.NativeException;
import org.ftcluster.worker.tensor.cuda.CudaDevice;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/**
 * A model, its adapter, and how to compute with them. What the command line leaves open is as in a
 * job: the one named, or the one whose {@code job.yaml} lies beside the adapter.
 */
final class ModelOptions {
  @Option(
      names = "--model",
      paramLabel = "FOLDER",
      required = true,
      description = "The Hugging Face model folder.")
  private Path model = Path.of("");

  @Option(
      names = "--adapter",
      paramLabel = "FOLDER",
      description = "A PEFT adapter for it (default: none).")
  private @Nullable Path adapter;

  @Option(
      names = "--job",
      paramLabel = "JOB.yaml",
      description =
          "Take what is not given here from this job file (default: the job.yaml beside the"
              + " adapter's folder, if there is one).")
  private @Nullable Path jobFile;

  @Option(
      names = "--dtype",
      paramLabel = "TYPE",
      description = "What to compute in: bfloat16 or float32 (default: as the job, else bfloat16).")
  private @Nullable ComputeType dtype;

  @Option(
      names = "--quantization",
      paramLabel = "TYPE",
      description =
          "How the model's linear weights are held: none, int8 or nf4 (default: as the job,"
              + " else none).")
  private @Nullable QuantizationType quantization;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads that compute (default: one a processor).")
  private int threads = Runtime.getRuntime().availableProcessors();

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      description = "What to compute on: cpu or cuda (default: as the job, else cpu).")
  private @Nullable Device device;

  /** The job to take settings from, if there is one. */
  Optional<JobSpec> job() {
    if (jobFile != null) {
      return Optional.of(JobSpecReader.read(jobFile, List.of()));
    }
    return Optional.ofNullable(adapter)
        .map(folder -> folder.toAbsolutePath().normalize().resolveSibling("job.yaml"))
        .filter(Files::exists)
        .map(ModelOptions::resolvedJob);
  }

  private static JobSpec resolvedJob(Path file) {
    try {
      return JobSpecReader.resolved(Files.readString(file));
    } catch (IOException e) {
      throw CommandException.badRequest("%s can't be read: %s".formatted(file, e)).because(e);
    }
  }

  /** To be called on the thread that uses the model. */
  LoadedModel open() {
    if (threads < 1) {
      throw CommandException.badRequest("--threads is %d; give at least 1".formatted(threads));
    }
    Optional<JobSpec> job = job();
    Optional<JobSpec.Model> trained = job.map(JobSpec::model);
    ComputeType computeType =
        dtype != null ? dtype : trained.map(JobSpec.Model::dtype).orElse(ComputeType.BFLOAT16);
    Quantization held =
        quantization != null
            ? new Quantization(quantization, true)
            : trained
                .map(JobSpec.Model::quantization)
                .orElse(new Quantization(QuantizationType.NONE, true));
    JobSpec.Model loaded = new JobSpec.Model(model.toAbsolutePath().normalize(), computeType, held);
    Device on =
        device != null
            ? device
            : job.map(JobSpec::resources).map(Resources::device).orElse(Device.CPU);
    return switch (on) {
      case CPU -> LoadedModel.open(loaded, adapter, threads, null);
      case CUDA -> onGpu(loaded);
    };
  }

  private LoadedModel onGpu(JobSpec.Model loaded) {
    Accelerator gpu;
    try {
      gpu = CudaDevice.open(0);
    } catch (NativeException e) {
      throw CommandException.failed(
              "the GPU can't be used: %s; --device cpu computes without".formatted(e.getMessage()))
          .because(e);
    }
    try {
      return LoadedModel.open(loaded, adapter, threads, gpu);
    } catch (RuntimeException | Error e) {
      try {
        gpu.close();
      } catch (NativeException after) {
        e.addSuppressed(after);
      }
      throw e;
    }
  }
}
