package org.ftcluster.worker.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.foreign.ValueLayout;

/** AdamW and clipping, element by element as their definitions say, for tests of models. */
final class TestOptimizer {
  private final JsonNode settings;
  private final ParameterBuffer parameters;
  private final double[] m;
  private final double[] v;
  private int steps;

  TestOptimizer(JsonNode settings, ParameterBuffer parameters) {
    this.settings = settings;
    this.parameters = parameters;
    m = new double[(int) parameters.size()];
    v = new double[(int) parameters.size()];
  }

  /** Clips, updates, and returns the gradient's norm before clipping. */
  double step() {
    steps++;
    double square = 0;
    for (int i = 0; i < m.length; i++) {
      double g = parameters.gradients().getAtIndex(ValueLayout.JAVA_FLOAT, i);
      square += g * g;
    }
    double norm = Math.sqrt(square);
    double clip = Math.min(1, settings.path("max_grad_norm").asDouble() / (norm + 1e-6));
    double lr = settings.path("lr").asDouble();
    double beta1 = settings.path("betas").path(0).asDouble();
    double beta2 = settings.path("betas").path(1).asDouble();
    double eps = settings.path("eps").asDouble();
    double decay = settings.path("weight_decay").asDouble();
    for (int i = 0; i < m.length; i++) {
      double g = clip * parameters.gradients().getAtIndex(ValueLayout.JAVA_FLOAT, i);
      double w = parameters.values().getAtIndex(ValueLayout.JAVA_FLOAT, i);
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      double mean = m[i] / (1 - Math.pow(beta1, steps));
      double deviation = Math.sqrt(v[i] / (1 - Math.pow(beta2, steps)));
      w = w * (1 - lr * decay) - lr * mean / (deviation + eps);
      parameters.values().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) w);
    }
    return norm;
  }
}
