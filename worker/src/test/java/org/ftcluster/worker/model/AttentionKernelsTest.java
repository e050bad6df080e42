package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Random;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.ftcluster.worker.tensor.kernel.ShortAttention;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Which kernel a sequence's attention runs on changes nothing but rounding, with a sliding window
 * or without.
 */
class AttentionKernelsTest {
  private final Random random = new Random(4);

  @ParameterizedTest
  @CsvSource({"llama3, 70", "mistral, 70", "mistral, 9"})
  void ourKernelAgreesWithLibtorch(String name, int tokens) {
    Aten.initialize();
    ModelConfig config = ModelConfigReader.read(Path.of("src/test/resources/golden", name));
    int window = config.slidingWindow() == 0 ? tokens : config.slidingWindow();
    var shape =
        new ShortAttention.Shape(
            tokens,
            config.keyValueHeads(),
            config.groupSize(),
            config.headSize(),
            window,
            config.attentionScale());
    try (Workspace workspace = new Workspace(1 << 26);
        Scope scope = Scope.persistent()) {
      Pass pass = new Pass(workspace, new int[] {tokens}, new int[tokens], tokens, false, 0);
      Tensor q = tensor(scope, tokens, config.querySize());
      Tensor k = tensor(scope, tokens, config.keyValueSize());
      Tensor v = tensor(scope, tokens, config.keyValueSize());
      Tensor dy = tensor(scope, tokens, config.querySize());
      Tensor[] ours = results(scope, config, tokens);
      Tensor[] theirs = results(scope, config, tokens);

      ShortAttention.forward(shape, ours[0], q, k, v, ours[1]);
      ShortAttention.backward(shape, ours[2], ours[3], ours[4], dy, ours[0], q, k, v, ours[1]);
      FusedAttention fused = new FusedAttention(config);
      QueryKeyValue in = new QueryKeyValue(q, k, v);
      QueryKeyValue gradients = new QueryKeyValue(theirs[2], theirs[3], theirs[4]);
      fused.forward(pass, theirs[0], in, theirs[1]);
      fused.backward(pass, gradients, dy, theirs[0], in, theirs[1]);

      for (int i = 0; i < ours.length; i++) {
        assertArrayEquals(theirs[i].toFloats(), ours[i].toFloats(), 2e-5f, "result " + i);
      }
    }
  }

  /** Output, statistics, dq, dk, dv. */
  private static Tensor[] results(Scope scope, ModelConfig config, int tokens) {
    return new Tensor[] {
      scope.zeros(DType.FLOAT32, tokens, config.querySize()),
      scope.zeros(DType.FLOAT32, config.heads(), tokens),
      scope.zeros(DType.FLOAT32, tokens, config.querySize()),
      scope.zeros(DType.FLOAT32, tokens, config.keyValueSize()),
      scope.zeros(DType.FLOAT32, tokens, config.keyValueSize())
    };
  }

  private Tensor tensor(Scope scope, long... shape) {
    Tensor tensor = scope.empty(DType.FLOAT32, shape);
    for (long i = 0; i < tensor.elements(); i++) {
      tensor.memory().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return tensor;
  }
}
