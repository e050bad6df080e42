package org.ftcluster.worker.parallel;

import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.AdapterType;
import org.ftcluster.protocol.job.JobSpec.GradientCheckpointing;
import org.ftcluster.worker.model.ModelConfig;

/**
 * What a step has to do, whatever the mesh.
 *
 * @param layerWeights of a layer's matrices
 * @param pastAttention how many of them work, in the last layer, on tokens that carry a loss only
 * @param headWeights of the head
 * @param hidden columns of activations
 * @param queries columns of all heads' queries
 * @param trained parameters
 * @param microBatches of a step
 * @param tokens of one
 * @param targets of those, how many carry a loss
 * @param sequence tokens that see each other
 * @param recompute whether layers run their forward again
 * @param trainsAll whether layers need gradients of their own weights
 * @param asksBase whether all goes forward through the base alone, too
 * @param activationBytes of a number
 * @param weightBytes of a frozen weight, packed
 * @param sumBytes of a gradient's sum
 * @param gradientBytes of a gradient that is sent
 */
public record Workload(
    int layers,
    double layerWeights,
    double pastAttention,
    double headWeights,
    double hidden,
    double queries,
    double trained,
    int microBatches,
    double tokens,
    double targets,
    double sequence,
    boolean recompute,
    boolean trainsAll,
    boolean asksBase,
    int activationBytes,
    double weightBytes,
    int sumBytes,
    int gradientBytes) {
  /** Bytes that expanding a packed weight reads and writes. */
  private static final double EXPANSION_BYTES = 4.5;

  /**
   * What a job's settings come to.
   *
   * @param tokens of a micro-batch
   * @param targets of those, how many carry a loss
   */
  public static Workload of(
      JobSpec spec,
      ModelConfig config,
      long trained,
      int microBatches,
      double tokens,
      double targets) {
    int activation =
        switch (spec.model().dtype()) {
          case FLOAT32 -> Float.BYTES;
          case BFLOAT16 -> Short.BYTES;
        };
    return new Workload(
        config.layers(),
        config.layerWeights(),
        (double) config.hiddenSize() * (config.querySize() + 3 * config.intermediateSize()),
        (double) config.vocabularySize() * config.hiddenSize(),
        config.hiddenSize(),
        config.querySize(),
        trained,
        microBatches,
        tokens,
        targets,
        tokens / spec.training().microBatchSize() / (spec.preference() == null ? 1 : 2),
        spec.training().gradientCheckpointing() == GradientCheckpointing.TRUE,
        spec.adapter().type() == AdapterType.NONE,
        spec.asksBase(),
        activation,
        switch (spec.model().quantization().type()) {
          case NONE -> activation;
          case INT8 -> 1;
          case NF4 -> 0.516;
        },
        spec.training().reduction().sumBytes(),
        spec.training().reduction().sentBytes());
  }

  /**
   * Operations of a layer's forward, for a micro-batch.
   *
   * @param rows tokens that go past its attention
   */
  double layerForward(double rows) {
    return 2 * products(rows) * (1 + adapters()) + 2 * tokens * sequence * queries;
  }

  /** Operations of its backward, with those of a forward that runs again. */
  double layerBackward(double rows) {
    double weights = 2 * products(rows) * (trainsAll ? 1 : adapters());
    double attention = 2 * tokens * sequence * queries; // twice the forward's
    return layerForward(rows) + attention + weights + (recompute ? layerForward(rows) : 0);
  }

  /** Tokens that meet weights. */
  private double products(double rows) {
    return tokens * (layerWeights - pastAttention) + rows * pastAttention;
  }

  /** Of a layer's weights as many are added by adapters. */
  private double adapters() {
    return trainsAll ? 0 : trained / layers / layerWeights;
  }

  /** Bytes that expanding a layer's packed weights once reads and writes. */
  double expansion() {
    return weightBytes < Short.BYTES ? layerWeights * EXPANSION_BYTES : 0;
  }

  /** The same of a step. */
  public double expansions() {
    return microBatches * layers * passes() * expansion();
  }

  private int passes() {
    return 2 + (recompute ? 1 : 0) + (asksBase ? 1 : 0);
  }

  /** How often slices of a layer sum or gather for a micro-batch, as {@link MeshCosts} adds up. */
  public int exchanges() {
    return 2 + 4 * passes();
  }

  /** Operations of the head, both ways. */
  double head() {
    return (trainsAll ? 6 : 4) * targets * headWeights;
  }

  /** Operations of the head's forward alone. */
  double headForward() {
    return 2 * targets * headWeights;
  }

  /** Operations of a step. */
  public double flops() {
    return microBatches
        * (layersForward()
            + (layers - 1) * layerBackward(tokens)
            + layerBackward(targets)
            + head()
            + (asksBase ? layersForward() + headForward() : 0));
  }

  /** Of those, what a step needs anyhow: running a forward again isn't. */
  public double usefulFlops() {
    return flops() - (recompute ? microBatches * layersForward() : 0);
  }

  private double layersForward() {
    return (layers - 1) * layerForward(tokens) + layerForward(targets);
  }
}
