package org.ftcluster.protocol.job;

import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A fine-tuning job, checked and complete: every default is filled in and every path is absolute.
 * Only {@link JobSpecReader} makes one.
 *
 * @param preference {@code null} where answers are learned, instead of which of two is better
 */
public record JobSpec(
    String name,
    Model model,
    Adapter adapter,
    Data data,
    Training training,
    @Nullable Preference preference,
    Evaluation evaluation,
    Parallel parallel,
    Offload offload,
    Elastic elastic,
    Resources resources,
    Checkpoint checkpoint) {

  /** The same job on another mesh. */
  public JobSpec withParallel(Parallel other) {
    return new JobSpec(
        name,
        model,
        adapter,
        data,
        training,
        preference,
        evaluation,
        other,
        offload,
        elastic,
        resources,
        checkpoint);
  }

  /**
   * Whether ranks share out the values of what is trained: with {@code zero3}, where that is the
   * whole model. Adapters are too small to be worth gathering layer by layer.
   */
  public boolean sharesValues() {
    return parallel.sharding() == Sharding.ZERO3 && adapter.type() == AdapterType.NONE;
  }

  /** Whether what is learned depends on what the base alone makes of the same samples. */
  public boolean asksBase() {
    return preference != null && preference.loss().needsReference();
  }

  /**
   * The frozen base: a Hugging Face model folder, the type to compute in, and how its weights are
   * held.
   */
  public record Model(Path path, ComputeType dtype, Quantization quantization) {}

  /**
   * The type that activations are computed in. Adapter weights and optimizer state are float32
   * throughout.
   */
  public enum ComputeType {
    BFLOAT16,
    FLOAT32
  }

  /** How the frozen linear weights are held in memory. */
  public record Quantization(QuantizationType type, boolean doubleQuant) {}

  /** {@code nf4} and {@code int8} follow bitsandbytes. */
  public enum QuantizationType {
    NONE,
    INT8,
    NF4
  }

  /**
   * What is trained.
   *
   * @param targetModules names of linear layers ({@code q_proj}), or the single entry {@code
   *     all-linear}
   * @param initFrom a PEFT adapter folder to go on from
   */
  public record Adapter(
      AdapterType type,
      int r,
      int loraAlpha,
      double loraDropout,
      List<String> targetModules,
      boolean useRslora,
      @Nullable Path initFrom) {
    /**
     * The factor on {@code x Aᵀ Bᵀ}: {@code alpha / r}, or {@code alpha / sqrt(r)} for rsLoRA
     * (arXiv:2312.03732).
     */
    public double scaling() {
      return useRslora ? loraAlpha / Math.sqrt(r) : (double) loraAlpha / r;
    }

    /** The same of other layers. */
    public Adapter withTargetModules(List<String> names) {
      return new Adapter(type, r, loraAlpha, loraDropout, names, useRslora, initFrom);
    }
  }

  /** {@code none} trains every weight. */
  public enum AdapterType {
    LORA,
    NONE
  }

  /**
   * What is trained on, and how it is cut.
   *
   * @param eval {@code null} where the job isn't evaluated
   * @param maxLength tokens a sample, or a packed row
   */
  public record Data(
      SampleSource train, @Nullable SampleSource eval, int maxLength, boolean packing) {}

  /**
   * How the adapter is trained.
   *
   * @param maxSteps optimizer steps, or 0 to let {@code numTrainEpochs} decide
   * @param globalBatchSize sequences (or packed rows) an optimizer step, whatever the number of
   *     workers
   * @param microBatchSize sequences (or packed rows) that go through the model at once
   * @param warmupSteps optimizer steps, or 0 to let {@code warmupRatio} decide
   * @param maxGradNorm 0 for no clipping
   * @param logSamples write {@code samples.jsonl}
   */
  public record Training(
      double numTrainEpochs,
      long maxSteps,
      int globalBatchSize,
      int microBatchSize,
      double learningRate,
      Scheduler lrSchedulerType,
      double warmupRatio,
      long warmupSteps,
      double weightDecay,
      double adamBeta1,
      double adamBeta2,
      double adamEpsilon,
      double maxGradNorm,
      long seed,
      GradientCheckpointing gradientCheckpointing,
      Reduction reduction,
      boolean logSamples) {}

  /**
   * How pairs of answers are learned from.
   *
   * @param beta how much a difference between the two counts; of {@code orpo} the weight of odds
   * @param labelSmoothing share of pairs that are taken to be the wrong way round
   * @param gamma of {@code simpo}: by how much the better one should be ahead
   */
  public record Preference(PreferenceLoss loss, double beta, double labelSmoothing, double gamma) {}

  /**
   * {@code dpo} (arXiv:2305.18290) and {@code ipo} (arXiv:2310.12036) look at how far a model moved
   * from the base; {@code simpo} (arXiv:2405.14734) and {@code orpo} (arXiv:2403.07691) at the
   * model alone.
   */
  public enum PreferenceLoss {
    DPO(true),
    IPO(true),
    SIMPO(false),
    ORPO(false);

    private final boolean needsReference;

    PreferenceLoss(boolean needsReference) {
      this.needsReference = needsReference;
    }

    /** Whether it is computed from what the base makes of the same answers, too. */
    public boolean needsReference() {
      return needsReference;
    }
  }

  /**
   * When {@code data.eval} is evaluated besides before and after training, and what follows.
   *
   * @param everySteps optimizer steps between evaluations; 0 for none
   * @param keepBest whether the result is what was evaluated with the lowest loss, instead of what
   *     the last step left
   * @param patience training ends when so many evaluations in a row haven't lowered the loss; 0
   *     goes on to the last step
   */
  public record Evaluation(long everySteps, boolean keepBest, int patience) {
    /** Before and after training only. */
    public static final Evaluation NONE = new Evaluation(0, false, 0);
  }

  /**
   * Whether layers keep only their input, and compute the rest again in their backward: {@code
   * auto} lets as many do so as it takes to fit a worker's memory. It changes no result.
   */
  public enum GradientCheckpointing {
    AUTO,
    FALSE,
    TRUE
  }

  /** Learning rate after warm-up. */
  public enum Scheduler {
    CONSTANT,
    LINEAR,
    COSINE
  }

  /**
   * How gradients are summed: {@code exact} in 64-bit fixed point, whose result no order changes;
   * {@code fast} in float32; {@code bfloat16} in float32 on each rank, and rounded on the way from
   * rank to rank.
   */
  public enum Reduction {
    EXACT(Long.BYTES, Long.BYTES),
    FAST(Float.BYTES, Float.BYTES),
    BFLOAT16(Float.BYTES, Short.BYTES);

    private final int sumBytes;
    private final int sentBytes;

    Reduction(int sumBytes, int sentBytes) {
      this.sumBytes = sumBytes;
      this.sentBytes = sentBytes;
    }

    /** Bytes of a parameter's sum. */
    public int sumBytes() {
      return sumBytes;
    }

    /** Bytes of what ranks send of it. */
    public int sentBytes() {
      return sentBytes;
    }
  }

  /**
   * How ranks share the work.
   *
   * @param data data-parallel ranks, or 0 for {@code auto}: as many as there are workers
   * @param tensor 0 for {@code auto}, as {@code pipeline}: to be chosen before the job is submitted
   * @param interleave chunks of the model that each stage of a pipeline has
   * @param shardingGroup neighbouring ranks that hold everything between them, where they share it
   *     out, while other groups hold the same; 0 for {@code auto}: all ranks are one
   * @param mirror where all ranks are one group: whether a neighbour keeps each rank's share as
   *     well
   */
  public record Parallel(
      int data,
      int tensor,
      int pipeline,
      int interleave,
      Sharding sharding,
      int shardingGroup,
      boolean mirror) {
    /** Whether the mesh is yet to be chosen. */
    public boolean isOpen() {
      return tensor == 0 || pipeline == 0;
    }

    /** Ranks that hold one copy of the model between them. */
    public int replicaRanks() {
      return tensor * pipeline;
    }
  }

  /**
   * What ranks share out instead of each holding a copy: the optimizer's memory; the sums of
   * gradients, too; the frozen layers, too (among copies of the model), or where every weight is
   * trained their values.
   */
  public enum Sharding {
    NONE,
    ZERO1,
    ZERO2,
    ZERO3
  }

  /**
   * What leaves a worker's memory between its uses. It changes no result.
   *
   * @param parameters the layers' frozen weights
   * @param optimizer what it remembers
   * @param activations what layers keep between their forward and their backward
   * @param path a folder on each worker's disk; {@code null} for the JVM's temporary one
   */
  public record Offload(
      OffloadTarget parameters,
      OffloadTarget optimizer,
      OffloadTarget activations,
      @Nullable Path path) {}

  /**
   * Where to: {@code cpu} is the memory of the host of a GPU, {@code disk} a file. {@code auto}
   * offloads what doesn't fit otherwise.
   */
  public enum OffloadTarget {
    AUTO,
    NONE,
    CPU,
    DISK
  }

  /** How many workers the job waits for at least, and uses at most. */
  public record Elastic(int minWorkers, int maxWorkers) {}

  /**
   * What a rank may use.
   *
   * @param threads libtorch threads a rank: part of the job, since the last bits of a sum depend on
   *     it
   * @param device what it computes on
   * @param sockets that carry data between two ranks
   */
  public record Resources(int threads, Device device, int sockets) {}

  /** Kinds of device; {@code cuda} is a GPU of NVIDIA's. */
  public enum Device {
    CPU,
    CUDA
  }

  /**
   * Where results and state go.
   *
   * @param everySteps 0 writes a checkpoint at the end only
   * @param keep how many step checkpoints stay on disk
   * @param overwrite whether another job's checkpoints in {@code path} may be replaced
   * @param remote where all of it is kept besides: {@code s3://BUCKET/PREFIX}, or a folder
   * @param endpoint of S3-compatible storage other than Amazon's
   * @param region of S3, where the environment doesn't say
   */
  public record Checkpoint(
      Path path,
      long everySteps,
      int keep,
      boolean overwrite,
      @Nullable String remote,
      @Nullable String endpoint,
      @Nullable String region) {}
}
