package org.ftcluster.worker.model;

import java.util.Arrays;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.model.TrainedShare.Sizes;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DryRun;

/**
 * Memory that a rank needs, in bytes, found by a dry run of the model's own code.
 *
 * @param weights the base's frozen weights, as they are held, with embedding and head
 * @param trained values, gradients, both moments and the reduction's sums of what is trained
 * @param activations the workspace at its fullest
 * @param spare what is taken besides for a while, see {@link TrainedShare#spareBytes}
 * @param process the JVM and libtorch, measured with a model of next to no size
 * @param disk what isn't in memory
 */
public record MemoryEstimate(
    long weights, long trained, long activations, long spare, long process, DiskUse disk) {
  /** A worker's resident memory beside models and data, measured on Linux x86-64 with JDK 25. */
  private static final long PROCESS_BYTES = 360L << 20;

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
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      JobSpec.Reduction reduction,
      MemorySavings savings,
      MicroBatchShape shape,
      MicroBatchShape evaluated,
      List<ModelPart> parts,
      int inFlight,
      TrainedShare share,
      boolean saved) {
    return DryRun.of(
        () -> {
          try (ParameterBuffer parameters = ModelLoader.newParameters(model, adapter, savings)) {
            long weights = 0;
            Sizes sizes = share.sizes(parameters, parts);
            long offloaded = offloaded(savings, model, share, sizes);
            // All values have room on the disk, though a rank may have a share of them only.
            long whole = share.sharesValues() ? valuesOnDisk(savings, model, parameters.size()) : 0;
            long onHost =
                savings.optimizer() instanceof Tier.Host ? share.optimizerBytes(sizes) : 0;
            long trained = share.bytes(sizes, reduction) - offloaded - onHost + whole;
            long activations = 0;
            long filed = 0;
            long batch = 0;
            for (ModelPart part : parts) {
              try (CausalLanguageModel hollow =
                  ModelLoader.loadPart(model, adapter, savings, 1, part, parameters, null)) {
                long active = hollow.activationBytes(shape.batch(), evaluated.batch(), inFlight);
                weights += hollow.frozenBytes();
                filed += hollow.filedBytes();
                trained += hollow.trainedCopyBytes();
                activations = Math.max(activations, active);
                batch += hollow.filedActivationBytes();
              }
            }
            long spare = share.spareBytes(sizes, reduction, saved, offloaded);
            DiskUse disk = new DiskUse(filed, offloaded, batch, inFlight);
            return new MemoryEstimate(weights, trained, activations, spare, PROCESS_BYTES, disk);
          }
        });
  }

  /** Bytes of what is trained that lie on a disk. */
  private static long offloaded(
      MemorySavings savings, JobSpec.Model model, TrainedShare share, Sizes sizes) {
    long values = valuesOnDisk(savings, model, sizes.all());
    return savings.optimizer() instanceof Tier.Disk ? values + share.optimizerBytes(sizes) : 0;
  }

  private static long valuesOnDisk(MemorySavings savings, JobSpec.Model model, long parameters) {
    return savings.valuesIn(model) == null ? 0 : parameters * Float.BYTES;
  }

  /** Of a model of that shape, with a folder in bfloat16. */
  public static MemoryEstimate of(
      ModelConfig config,
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      JobSpec.Reduction reduction,
      MemorySavings savings,
      MicroBatchShape shape) {
    Aten.initialize();
    return DryRun.of(
        () -> {
          try (CausalLanguageModel hollow =
              ModelLoader.loadHollow(config, model, adapter, savings)) {
            Sizes all = Sizes.whole(hollow.parameters().size());
            long offloaded = offloaded(savings, model, TrainedShare.ALL, all);
            long state = TrainedShare.ALL.bytes(all, reduction) - offloaded;
            long active = hollow.activationBytes(shape.batch(), shape.batch(), 1);
            return new MemoryEstimate(
                hollow.frozenBytes(),
                state + hollow.trainedCopyBytes(),
                active,
                0,
                PROCESS_BYTES,
                new DiskUse(hollow.filedBytes(), offloaded, hollow.filedActivationBytes(), 1));
          }
        });
  }
}
