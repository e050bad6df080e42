package org.ftcluster.worker.parallel;

import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.AdapterType;
import org.ftcluster.protocol.job.JobSpec.GradientCheckpointing;
import org.ftcluster.worker.model.ModelConfig;

/**
 * What a step has to do, whatever the mesh.
 *
 * @param layerWeights of a layer's matrices
 * @param headWeights of the head
 * @param hidden columns of activations
 * @param trained parameters
 * @param microBatches of a step
 * @param tokens of one
 * @param sequence tokens that see each other
 * @param recompute whether layers run their forward again
 * @param trainsAll whether layers need gradients of their own weights
 * @param activationBytes of a number
 * @param weightBytes of a frozen weight, packed
 * @param gradientBytes of a gradient while it is summed
 */
public record Workload(
    int layers,
    double layerWeights,
    double headWeights,
    double hidden,
    double trained,
    int microBatches,
    double tokens,
    double sequence,
    boolean recompute,
    boolean trainsAll,
    int activationBytes,
    double weightBytes,
    int gradientBytes) {
  /**
   * What a job's settings come to.
   *
   * @param tokens of a micro-batch
   */
  public static Workload of(
      JobSpec spec, ModelConfig config, long trained, int microBatches, double tokens) {
    int activation =
        switch (spec.model().dtype()) {
          case FLOAT32 -> Float.BYTES;
          case BFLOAT16 -> Short.BYTES;
        };
    return new Workload(
        config.layers(),
        config.layerWeights(),
        (double) config.vocabularySize() * config.hiddenSize(),
        config.hiddenSize(),
        trained,
        microBatches,
        tokens,
        tokens / spec.training().microBatchSize(),
        spec.training().gradientCheckpointing() == GradientCheckpointing.TRUE,
        spec.adapter().type() == AdapterType.NONE,
        activation,
        switch (spec.model().quantization().type()) {
          case NONE -> activation;
          case INT8 -> 1;
          case NF4 -> 0.516;
        },
        switch (spec.training().reduction()) {
          case EXACT -> Long.BYTES;
          case FAST -> Float.BYTES;
        });
  }

  /** Operations of a layer's forward, for a micro-batch. */
  double layerForward() {
    double adapters = trainsAll ? 0 : trained / layers;
    return 2 * tokens * (layerWeights + adapters) + 2 * tokens * sequence * hidden;
  }

  /** Operations of its backward, with those of a forward that runs again. */
  double layerBackward() {
    double adapters = trainsAll ? 0 : 2 * tokens * trained / layers;
    double weights = trainsAll ? 2 * tokens * layerWeights : adapters;
    double attention = 2 * tokens * sequence * hidden; // twice the forward's
    return layerForward() + attention + weights + (recompute ? layerForward() : 0);
  }

  /** Operations of the head, both ways. */
  double head() {
    return (trainsAll ? 6 : 4) * tokens * headWeights;
  }

  /** Operations of a step. */
  public double flops() {
    return microBatches * (layers * (layerForward() + layerBackward()) + head());
  }

  /** Of those, what a step needs anyhow: running a forward again isn't. */
  public double usefulFlops() {
    return flops() - (recompute ? (double) microBatches * layers * layerForward() : 0);
  }
}
