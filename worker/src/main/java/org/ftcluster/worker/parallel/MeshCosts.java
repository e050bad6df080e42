package org.ftcluster.worker.parallel;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.data.GlobalBatch;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.Span;
import org.ftcluster.worker.parallel.ScheduleTimes.Cost;
import org.ftcluster.worker.parallel.ScheduleTimes.Costs;
import org.ftcluster.worker.parallel.StepTime.Layout;

/**
 * What a mesh costs besides arithmetic.
 *
 * @param gradientBytes that the rank that sends the most sends in a step to sum gradients, and of
 *     what is updated with them
 * @param sliceBytes that it sends to the other slices of its layers
 * @param stageBytes that it sends to the stages before and behind
 * @param shareBytes that it sends of its shares of layers to ranks that gather them
 * @param bubble share of a step's micro-batches' time in which ranks wait for other stages, a pass
 *     through the base alone not counted
 * @param work of a step
 * @param layout of the mesh
 */
public record MeshCosts(
    double gradientBytes,
    double sliceBytes,
    double stageBytes,
    double shareBytes,
    double bubble,
    Workload work,
    Layout layout) {
  /** Sums over slices are of float32. */
  private static final int SUM_BYTES = Float.BYTES;

  /**
   * What goes through a copy of the model in a step.
   *
   * @param microBatches of the copy that has the most to do
   * @param tokens of one of them
   * @param targets of those, how many carry a loss
   * @param allMicroBatches of all copies
   */
  private record Load(int microBatches, double tokens, double targets, int allMicroBatches) {
    /**
     * What a step's micro-batches are for copies that take equally many.
     *
     * @param together whether all copies wait for each other after each micro-batch
     */
    static Load of(GlobalBatch batch, int copies, boolean together) {
      List<MicroBatch> all = batch.microBatches();
      Deal deal = Deal.even(all.size(), copies);
      double[] rounds = new double[deal.most()];
      double most = 0;
      for (int copy = 0; copy < copies; copy++) {
        List<MicroBatch> share = deal.share(copy, all);
        double tokens = 0;
        for (int i = 0; i < share.size(); i++) {
          rounds[i] = Math.max(rounds[i], share.get(i).tokenCount());
          tokens += share.get(i).tokenCount();
        }
        most = Math.max(most, tokens);
      }
      double tokens = (together ? Arrays.stream(rounds).sum() : most) / rounds.length;
      double targets = tokens * batch.targetTokens() / batch.tokens();
      return new Load(rounds.length, tokens, targets, all.size());
    }
  }

  /** What a job's settings come to in a step. */
  public static MeshCosts of(
      JobSpec spec, ModelConfig config, Mesh mesh, long trainedParameters, GlobalBatch batch) {
    boolean together = spec.parallel().sharding().compareTo(JobSpec.Sharding.ZERO2) >= 0;
    Load load = Load.of(batch, mesh.data(), together);
    double activations = load.tokens() * config.hiddenSize();
    double microBatches = load.microBatches();
    int chunks = spec.parallel().interleave();
    List<Span> parts = MeshParts.layers(config, mesh.pipeline() * chunks);
    int layers =
        IntStream.range(0, mesh.pipeline())
            .map(
                stage ->
                    IntStream.range(0, chunks)
                        .map(chunk -> parts.get(chunk * mesh.pipeline() + stage).size())
                        .sum())
            .max()
            .orElse(0);
    // Two in a layer's forward, two in its backward, and the forward's again where it runs again,
    // or through the base alone; before each the slices' rows are gathered, in the backward both
    // the gradient's and the norm's.
    int base = spec.asksBase() ? 1 : 0;
    int passes = (recomputed(spec) ? 3 : 2) + base;
    int sums = layers * 2 * passes + 1;
    int gathers = layers * (2 * passes + 2) + 1 + base;
    boolean between = mesh.pipeline() > 1;
    return new MeshCosts(
        reductions(spec, mesh, microBatches) * trainedParameters,
        gathered(mesh.tensor())
            * microBatches
            * activations
            * (sums * SUM_BYTES + gathers * activationBytes(spec)),
        // Each chunk sends both ways, but for the model's first and last.
        (between ? (2 + base) * chunks - (mesh.pipeline() > 2 ? 0 : 1) : 0)
            * microBatches
            * activations
            / mesh.tensor()
            * activationBytes(spec),
        shares(spec, config, mesh, layers, microBatches),
        bubble(config, parts, new Schedule(mesh.pipeline(), chunks, load.microBatches())),
        Workload.of(
            spec, config, trainedParameters, load.allMicroBatches(), load.tokens(), load.targets()),
        new Layout(mesh, chunks, spec.parallel().sharding()));
  }

  public Mesh mesh() {
    return layout.mesh();
  }

  /** How long a step takes with such ranks. */
  public StepTime stepTime(Machine machine) {
    return StepTime.of(work, layout, machine);
  }

  /** What the memory decides isn't asked of slices, see {@code SavingsChoice}. */
  private static boolean recomputed(JobSpec spec) {
    return spec.training().gradientCheckpointing() == JobSpec.GradientCheckpointing.TRUE;
  }

  /** All that a rank sends in a step. */
  public double bytes() {
    return gradientBytes + sliceBytes + stageBytes + shareBytes;
  }

  private static double bubble(ModelConfig config, List<Span> parts, Schedule schedule) {
    List<Cost> costs = new ArrayList<>();
    parts.forEach(span -> costs.add(new Cost(span.size(), 0)));
    costs.add(new Cost(costs.removeLast().work() + MeshParts.headCost(config), 0));
    // With adapters a backward computes about what the forward does: no gradients of weights.
    return ScheduleTimes.of(new Costs(costs, costs, 0), schedule).bubble();
  }

  /** Bytes that a rank sends of its shares in a step. */
  private static double shares(
      JobSpec spec, ModelConfig config, Mesh mesh, int layers, double microBatches) {
    if (spec.parallel().sharding() != JobSpec.Sharding.ZERO3) {
      return 0;
    }
    if (spec.sharesValues()) {
      // All ranks of a stage gather whole layers, forward and backward; embedding and head once,
      // in different stages once a step.
      double table = (double) config.vocabularySize() * config.hiddenSize();
      double tables =
          mesh.pipeline() > 1 ? table : microBatches * (config.tiedHead() ? 1 : 2) * table;
      return gathered(mesh.groupSize() / mesh.pipeline())
          * (microBatches * 2 * layers * config.layerWeights() + tables)
          * activationBytes(spec);
    }
    return microBatches
        * (spec.asksBase() ? 3 : 2)
        * gathered(mesh.groupData())
        * layers
        * layerBytes(spec, config)
        / mesh.tensor();
  }

  /** Bytes that a rank sends of each parameter's gradient, and of what is updated with it. */
  private static double reductions(JobSpec spec, Mesh mesh, double microBatches) {
    int ranks = mesh.size();
    int group = mesh.groupSize();
    double values = gathered(group) * Float.BYTES;
    boolean mirrored = spec.parallel().mirror() && mesh.groups() == 1;
    return switch (spec.parallel().sharding()) {
      case NONE -> allReduced(ranks) * gradientBytes(spec);
      case ZERO1 -> allReduced(ranks) * gradientBytes(spec) + values;
      case ZERO2, ZERO3 ->
          // Among the ranks of a stage, and from there to the optimizer's shards, unless they are
          // there: then a chunk's gradients go alone.
          microBatches
                  * (spec.sharesValues() ? 1 : spec.parallel().interleave())
                  * gathered(group / mesh.pipeline())
                  * gradientBytes(spec)
                  / mesh.pipeline()
              // Among those that have summed the same, one of each group.
              + allReduced(mesh.groups()) * spec.training().reduction().sumBytes() / group
              + (spec.sharesValues()
                  ? 0
                  : values + (mesh.pipeline() > 1 ? gathered(group) * gradientBytes(spec) : 0))
              + (mirrored ? (double) Float.BYTES / ranks : 0);
    };
  }

  /** How often a ring sends a buffer that it reduces. */
  private static double allReduced(int ranks) {
    return 2.0 * (ranks - 1) / ranks;
  }

  /** How much of a buffer that a ring gathers each rank passes on. */
  private static double gathered(int ranks) {
    return (ranks - 1.0) / ranks;
  }

  private static int gradientBytes(JobSpec spec) {
    return spec.training().reduction().sentBytes();
  }

  private static int activationBytes(JobSpec spec) {
    return switch (spec.model().dtype()) {
      case FLOAT32 -> Float.BYTES;
      case BFLOAT16 -> Short.BYTES;
    };
  }

  private static double layerBytes(JobSpec spec, ModelConfig config) {
    return config.layerWeights()
        * switch (spec.model().quantization().type()) {
          case NONE -> (double) activationBytes(spec);
          case INT8 -> 1.0;
          case NF4 -> 0.5;
        };
  }
}
