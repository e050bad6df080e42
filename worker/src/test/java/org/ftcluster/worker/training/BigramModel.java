package org.ftcluster.worker.training;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import org.ftcluster.worker.model.AdapterInitializer;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.model.TrainableModel;
import org.ftcluster.worker.tensor.SplitMix64;

/**
 * Guesses the next token from the one before: {@code softmax(B A x)}, where x are fixed random
 * features of the token, some of which a pass drops. Small enough to see through, and everything
 * that a training loop can get wrong shows in its bits.
 */
final class BigramModel implements TrainableModel {
  private static final int VOCABULARY = 1024;
  private static final int FEATURES = 32;
  private static final int R = 4;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;

  private final ParameterBuffer parameters = new ParameterBuffer(slices());
  private final Runnable beforePass;
  private final Runnable beforeEvaluating;
  private float[] a = new float[0];
  private float[] b = new float[0];

  /**
   * @param beforePass called before each forward and backward; may throw
   */
  BigramModel(Runnable beforePass) {
    this(beforePass, () -> {});
  }

  /**
   * @param beforeEvaluating called before each batch that is evaluated; may throw
   */
  BigramModel(Runnable beforePass, Runnable beforeEvaluating) {
    this.beforePass = beforePass;
    this.beforeEvaluating = beforeEvaluating;
  }

  private static List<ParameterBuffer.Slice> slices() {
    String layer = "base_model.model.model.layers.0.self_attn.q_proj.";
    return List.of(
        new ParameterBuffer.Slice(layer + "lora_A.weight", new long[] {R, FEATURES}, 0),
        new ParameterBuffer.Slice(
            layer + "lora_B.weight", new long[] {VOCABULARY, R}, (long) R * FEATURES));
  }

  @Override
  public ParameterBuffer parameters() {
    return parameters;
  }

  @Override
  public void initialize(long seed) {
    AdapterInitializer.fill(parameters, seed);
    parametersChanged();
  }

  @Override
  public void parametersChanged() {
    float[] values = parameters.values().toArray(FLOAT);
    a = Arrays.copyOf(values, R * FEATURES);
    b = Arrays.copyOfRange(values, R * FEATURES, values.length);
  }

  @Override
  public double forwardBackward(TokenBatch batch, double lossScale, long dropoutSeed) {
    beforePass.run();
    float[] gradients = new float[Math.toIntExact(parameters.size())];
    double loss = pass(batch, (float) lossScale, dropoutSeed, gradients);
    MemorySegment.copy(gradients, 0, parameters.gradients(), FLOAT, 0, gradients.length);
    return loss;
  }

  @Override
  public double[] losses(TokenBatch batch, boolean adapted) {
    beforeEvaluating.run();
    double[] losses = new double[batch.lengths().length];
    losses[0] = pass(batch, 0, 0, new float[0]); // only the sum is looked at
    return losses;
  }

  /** No gradients where {@code gradients} is empty, and no dropout either. */
  private double pass(TokenBatch batch, float scale, long dropoutSeed, float[] gradients) {
    double loss = 0;
    float[] z = new float[R];
    double[] p = new double[VOCABULARY];
    for (int t = 0; t < batch.tokenCount(); t++) {
      int target = batch.targets()[t];
      if (target == TokenBatch.NO_TARGET) {
        continue;
      }
      float[] x = features(batch.tokens()[t], gradients.length > 0 ? dropoutSeed + t : 0);
      for (int r = 0; r < R; r++) {
        z[r] = 0;
        for (int f = 0; f < FEATURES; f++) {
          z[r] += a[r * FEATURES + f] * x[f];
        }
      }
      double total = 0;
      for (int v = 0; v < VOCABULARY; v++) {
        float logit = 0;
        for (int r = 0; r < R; r++) {
          logit += b[v * R + r] * z[r];
        }
        p[v] = StrictMath.exp(logit);
        total += p[v];
      }
      loss -= StrictMath.log(p[target] / total);
      if (gradients.length > 0) {
        addGradients(gradients, x, z, p, total, target, scale);
      }
    }
    return loss;
  }

  private void addGradients(
      float[] gradients, float[] x, float[] z, double[] p, double total, int target, float scale) {
    float[] dz = new float[R];
    for (int v = 0; v < VOCABULARY; v++) {
      float dLogit = (float) (p[v] / total - (v == target ? 1 : 0)) * scale;
      for (int r = 0; r < R; r++) {
        gradients[R * FEATURES + v * R + r] += dLogit * z[r];
        dz[r] += dLogit * b[v * R + r];
      }
    }
    for (int r = 0; r < R; r++) {
      for (int f = 0; f < FEATURES; f++) {
        gradients[r * FEATURES + f] += dz[r] * x[f];
      }
    }
  }

  private static float[] features(int token, long dropoutSeed) {
    SplitMix64 random = new SplitMix64(token);
    SplitMix64 dropout = new SplitMix64(dropoutSeed);
    float[] x = new float[FEATURES];
    for (int f = 0; f < FEATURES; f++) {
      boolean dropped = dropoutSeed != 0 && dropout.below(10) == 0;
      x[f] = random.below(2) == 0 || dropped ? 0 : 1;
    }
    return x;
  }

  @Override
  public void close() {
    parameters.close();
  }
}
