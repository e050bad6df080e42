package org.ftcluster.worker.model;

import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.model.TrainedShare.Sizes;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.HollowDevice;
import org.ftcluster.worker.tensor.Scratch;
import org.jspecify.annotations.Nullable;

/**
 * Memory that a rank needs where its layers are computed, the host's or a GPU's, in bytes, found by
 * a dry run of the model's own code.
 *
 * @param weights the base's frozen weights, as they are held, with embedding and head
 * @param trained values, gradients, both moments and the reduction's sums of what is trained
 * @param activations the workspace at its fullest, and what operations of libtorch's take besides
 * @param spare what is taken besides for a while, see {@link TrainedShare#spareBytes}
 * @param process what doesn't depend on the model
 * @param disk what isn't in memory
 */
public record MemoryEstimate(
    long weights, long trained, long activations, long spare, long process, DiskUse disk) {
  /** A worker's resident memory beside models and data, measured on Linux x86-64 with JDK 25. */
  private static final long PROCESS_BYTES = 360L << 20;

  /**
   * Of a GPU's memory: room for operations at hand, and what kernels, cuBLAS and NCCL take, which
   * is assumed, and was never measured.
   */
  private static final long DEVICE_PROCESS_BYTES = Scratch.BYTES + (512L << 20);

  /** What is trained, and where. */
  public record Training(
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      JobSpec.Reduction reduction,
      JobSpec.Device device) {
    public static Training of(JobSpec spec) {
      return new Training(
          spec.model(), spec.adapter(), spec.training().reduction(), spec.resources().device());
    }

    boolean isOnDevice() {
      return device == JobSpec.Device.CUDA;
    }

    /** What a worker takes without any model. */
    public long processBytes() {
      return isOnDevice() ? DEVICE_PROCESS_BYTES : PROCESS_BYTES;
    }

    /**
     * A dry run of it.
     *
     * @param run is given where layers are; null for the host
     */
    private MemoryEstimate dryRun(Function<@Nullable HollowDevice, MemoryEstimate> run) {
      return DryRun.of(
          () -> {
            if (!isOnDevice()) {
              return run.apply(null);
            }
            try (HollowDevice hollow = new HollowDevice()) {
              return run.apply(hollow);
            }
          });
    }
  }

  /**
   * What goes through the model at once.
   *
   * @param targets tokens that carry a loss
   */
  public record MicroBatchShape(int sequences, int tokens, int targets) {
    /**
     * Sequences of equal length in which every token carries a loss: the most that there can be.
     */
    public static MicroBatchShape full(int sequences, int length) {
      return new MicroBatchShape(sequences, sequences * length, sequences * length);
    }

    /** At least as large in every respect as both. */
    public MicroBatchShape or(MicroBatchShape other) {
      return new MicroBatchShape(
          Math.max(sequences, other.sequences),
          Math.max(tokens, other.tokens),
          Math.max(targets, other.targets));
    }

    private TokenBatch batch() {
      int[] lengths = new int[sequences];
      int[] batchTargets = new int[tokens];
      for (int i = 0; i < sequences; i++) {
        lengths[i] = (int) ((long) tokens * (i + 1) / sequences - (long) tokens * i / sequences);
      }
      Arrays.fill(batchTargets, 0, tokens - targets, TokenBatch.NO_TARGET);
      return new TokenBatch(new int[tokens], batchTargets, lengths);
    }
  }

  /** All of it. */
  public long total() {
    return data() + spare + process;
  }

  /** What a step takes, without the process. */
  public long data() {
    return weights + trained + activations;
  }

  /**
   * Of parts of a model folder's model; its weights are not read.
   *
   * @param shape of the largest micro-batch that is trained on
   * @param evaluated of the largest that is only evaluated
   * @param parts that a rank has
   * @param inFlight micro-batches whose activations it holds at once, each of one part
   * @param share of what is trained
   * @param saved whether checkpoints are written while training goes on
   * @throws org.ftcluster.protocol.job.BadJobException when folder and job don't fit each other
   */
  public static MemoryEstimate of(
      Training training,
      MemorySavings savings,
      MicroBatchShape shape,
      MicroBatchShape evaluated,
      List<ModelPart> parts,
      int inFlight,
      TrainedShare share,
      boolean saved) {
    JobSpec.Model model = training.model();
    JobSpec.Adapter adapter = training.adapter();
    return training.dryRun(
        device -> {
          try (ParameterBuffer parameters = ModelLoader.newParameters(model, adapter, savings)) {
            long weights = 0;
            long copies = 0;
            long activations = 0;
            long filed = 0;
            long batch = 0;
            for (ModelPart part : parts) {
              try (CausalLanguageModel hollow =
                  ModelLoader.loadPart(model, adapter, savings, 1, part, parameters, device)) {
                long active =
                    hollow.activationBytes(
                        // A round of an evaluation goes through all of a rank's parts.
                        shape.batch(), evaluated.batch(), inFlight, parts.size());
                weights += hollow.frozenBytes();
                filed += hollow.filedBytes();
                copies += hollow.trainedCopyBytes();
                activations = Math.max(activations, active);
                batch += hollow.filedActivationBytes();
              }
            }
            Sizes sizes = share.sizes(parameters, parts);
            Trained trained = trained(training, savings, share, sizes, saved);
            return new MemoryEstimate(
                weights,
                trained.bytes() + copies,
                activations + libtorchBytes(device),
                trained.spare(),
                training.processBytes(),
                new DiskUse(filed, trained.onDisk(), batch, inFlight));
          }
        });
  }

  /** What operations take in libtorch's own memory, beside the workspace. */
  private static long libtorchBytes(@Nullable HollowDevice device) {
    return device == null ? 0 : device.libtorchBytes();
  }

  /**
   * Of what is trained, without the copies that layers compute with.
   *
   * @param spare as above
   */
  private record Trained(long bytes, long spare, long onDisk) {}

  private static Trained trained(
      Training training, MemorySavings savings, TrainedShare share, Sizes sizes, boolean saved) {
    JobSpec.Reduction reduction = training.reduction();
    long onDisk = onDisk(savings, training.model(), share, sizes);
    if (training.isOnDevice()) {
      long bytes = share.deviceBytes(sizes, reduction, savings.optimizesOnDevice());
      return new Trained(bytes, 0, onDisk);
    }
    // All values have room on the disk, though a rank may have a share of them only.
    long whole = share.sharesValues() ? valuesOnDisk(savings, training.model(), sizes.all()) : 0;
    return new Trained(
        share.bytes(sizes, reduction) - onDisk + whole,
        share.spareBytes(sizes, reduction, saved, onDisk),
        onDisk);
  }

  /** Bytes of what is trained that lie on a disk. */
  private static long onDisk(
      MemorySavings savings, JobSpec.Model model, TrainedShare share, Sizes sizes) {
    long values = valuesOnDisk(savings, model, sizes.all());
    return savings.optimizer() instanceof Tier.Disk ? values + share.optimizerBytes(sizes) : 0;
  }

  private static long valuesOnDisk(MemorySavings savings, JobSpec.Model model, long parameters) {
    return savings.valuesIn(model) == null ? 0 : parameters * Float.BYTES;
  }

  /** Of a model of that shape, with a folder in bfloat16. */
  public static MemoryEstimate of(
      ModelConfig config, Training training, MemorySavings savings, MicroBatchShape shape) {
    Aten.initialize();
    return training.dryRun(
        device -> {
          try (CausalLanguageModel hollow =
              ModelLoader.loadHollow(
                  config, training.model(), training.adapter(), savings, device)) {
            Sizes all = Sizes.whole(hollow.parameters().size());
            Trained trained = trained(training, savings, TrainedShare.ALL, all, false);
            long active = hollow.activationBytes(shape.batch(), shape.batch(), 1, 1);
            return new MemoryEstimate(
                hollow.frozenBytes(),
                trained.bytes() + hollow.trainedCopyBytes(),
                active + libtorchBytes(device),
                0,
                training.processBytes(),
                new DiskUse(
                    hollow.filedBytes(), trained.onDisk(), hollow.filedActivationBytes(), 1));
          }
        });
  }
}
