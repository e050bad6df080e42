package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.ftcluster.worker.tensor.kernel.BlockedAttention;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Products;
import org.ftcluster.worker.tensor.kernel.Scores;
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
        new BlockedAttention.Shape(
            tokens,
            config.keyValueHeads(),
            config.groupSize(),
            config.headSize(),
            window,
            config.scores());
    try (Workspace workspace = new Workspace(1 << 26);
        Scope scope = Scope.persistent()) {
      Pass pass = new Pass(workspace, new int[] {tokens}, new int[tokens], tokens, false, 0, true);
      Tensor q = tensor(scope, tokens, config.querySize());
      Tensor k = tensor(scope, tokens, config.keyValueSize());
      Tensor v = tensor(scope, tokens, config.keyValueSize());
      Tensor dy = tensor(scope, tokens, config.querySize());
      Tensor[] ours = results(scope, config, tokens);
      Tensor[] theirs = results(scope, config, tokens);

      BlockedAttention.forward(scope, Products.FLOAT32, shape, ours[0], q, k, v, ours[1]);
      BlockedAttention.backward(
          scope, Products.FLOAT32, shape, ours[2], ours[3], ours[4], dy, ours[0], q, k, v, ours[1]);
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

  @ParameterizedTest
  @CsvSource({
    "70, 70, 0",
    "576, 576, 0",
    "576, 300, 0",
    "33, 9, 0",
    "576, 576, 0.7",
    "576, 300, 2",
    "33, 9, 1"
  })
  void productsOfBfloat16RoundWhatTheyMultiplyAndNothingElse(int tokens, int window, double cap) {
    assumeTrue(
        Products.of(DType.BFLOAT16) == Products.BFLOAT16, "this processor has no such products");
    Aten.initialize();
    var shape = new BlockedAttention.Shape(tokens, 2, 3, 48, window, new Scores(0.13, cap));
    try (Scope scope = Scope.persistent()) {
      Tensor q = rounded(scope, tokens, 6 * 48);
      Tensor k = rounded(scope, tokens, 2 * 48);
      Tensor v = rounded(scope, tokens, 2 * 48);
      Tensor dy = rounded(scope, tokens, 6 * 48);
      List<float[]> exact = attention(scope, Products.FLOAT32, shape, q, k, v, dy);
      List<float[]> fast = attention(scope, Products.BFLOAT16, shape, q, k, v, dy);

      for (int i = 0; i < exact.size(); i++) {
        // Half a step of bfloat16 is 1/256 of a number; errors of many numbers cancel.
        assertTrue(
            difference(exact.get(i), fast.get(i)) < 1 / 256.0,
            "result %d: %.5f".formatted(i, difference(exact.get(i), fast.get(i))));
      }
      assertArrayEquals(exact.get(1), fast.get(1), 1e-5f, "the softmax's denominators");
    }
  }

  /** Output, statistics, dq, dk, dv. */
  private static List<float[]> attention(
      Scope scope,
      Products products,
      BlockedAttention.Shape shape,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor dy) {
    Tensor y = scope.zeros(DType.BFLOAT16, q.shape());
    Tensor logSumExp =
        scope.zeros(DType.FLOAT32, (long) shape.keyValueHeads() * shape.group(), shape.tokens());
    Tensor dq = scope.zeros(DType.BFLOAT16, q.shape());
    Tensor dk = scope.zeros(DType.BFLOAT16, k.shape());
    Tensor dv = scope.zeros(DType.BFLOAT16, v.shape());
    BlockedAttention.forward(scope, products, shape, y, q, k, v, logSumExp);
    BlockedAttention.backward(scope, products, shape, dq, dk, dv, dy, y, q, k, v, logSumExp);
    return Stream.of(y, logSumExp, dq, dk, dv).map(Tensor::toFloats).toList();
  }

  /** The root of the mean square of differences, as a share of that of the numbers. */
  private static double difference(float[] expected, float[] actual) {
    double errors = 0;
    double squares = 0;
    for (int i = 0; i < expected.length; i++) {
      errors += Math.pow(expected[i] - (double) actual[i], 2);
      squares += Math.pow(expected[i], 2);
    }
    return Math.sqrt(errors / squares);
  }

  private Tensor rounded(Scope scope, long... shape) {
    Tensor tensor = scope.empty(DType.BFLOAT16, shape);
    Aten.copy(tensor, tensor(scope, shape));
    return tensor;
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
