package org.ftcluster.worker.benchmark;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDScope;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;
import ai.djl.training.GradientCollector;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.ftcluster.worker.quantization.Nf4Weight;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.BlockedAttention;
import org.ftcluster.worker.tensor.kernel.CrossEntropy;
import org.ftcluster.worker.tensor.kernel.Dropout;
import org.ftcluster.worker.tensor.kernel.GatedUnit;
import org.ftcluster.worker.tensor.kernel.RmsNorm;
import org.ftcluster.worker.tensor.kernel.Rotary;
import org.ftcluster.worker.tensor.kernel.Scores;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Milliseconds of each kernel, and of the same in libtorch's operators, in float32 on one thread,
 * in the shapes of a Llama of 246M parameters: 2,048 tokens, 1,024 wide.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class KernelBenchmark {
  private static final int TOKENS = 2048;
  private static final int HIDDEN = 1024;
  private static final int INTERMEDIATE = 2816;
  private static final int HEAD = 64;
  private static final int VOCABULARY = 32_000;
  private static final int LOSS_ROWS = 128;
  private static final double EPS = 1e-6;
  private static final double DROPPED = 0.05;
  private static final int PARAMETERS = 4 << 20;

  private final Inputs inputs = new Inputs();
  private final Tensor x = inputs.random(TOKENS, HIDDEN);
  private final Tensor y = inputs.empty(TOKENS, HIDDEN);
  private final Tensor dy = inputs.random(TOKENS, HIDDEN);
  private final Tensor dx = inputs.empty(TOKENS, HIDDEN);
  private final Tensor norm = inputs.random(HIDDEN);
  private final NDArray xArray = inputs.array(x);
  private final NDArray xTrained = inputs.trained(x);
  private final NDArray dyArray = inputs.array(dy);
  private final NDArray normArray = inputs.array(norm);

  private final int[] positions = IntStream.range(0, TOKENS).map(t -> t % 512).toArray();
  private final float[][] cos = new float[512][HEAD / 2];
  private final float[][] sin = new float[512][HEAD / 2];
  private final NDArray cosArray = inputs.manager().ones(heads(1));
  private final NDArray sinArray = inputs.manager().zeros(heads(1));

  private static final int SEQUENCE = 512;
  private final BlockedAttention.Shape attention =
      new BlockedAttention.Shape(
          SEQUENCE, HIDDEN / HEAD, 1, HEAD, SEQUENCE, Scores.scaled(1 / Math.sqrt(HEAD)));
  private final Tensor query = inputs.random(SEQUENCE, HIDDEN);
  private final Tensor key = inputs.random(SEQUENCE, HIDDEN);
  private final Tensor value = inputs.random(SEQUENCE, HIDDEN);
  private final Tensor attended = inputs.empty(SEQUENCE, HIDDEN);
  private final Tensor logSumExp = inputs.empty(HIDDEN / HEAD, SEQUENCE);
  private final Tensor dAttended = inputs.random(SEQUENCE, HIDDEN);
  private final Tensor dQuery = inputs.empty(SEQUENCE, HIDDEN);
  private final Tensor dKey = inputs.empty(SEQUENCE, HIDDEN);
  private final Tensor dValue = inputs.empty(SEQUENCE, HIDDEN);

  private final Tensor gate = inputs.random(TOKENS, INTERMEDIATE);
  private final Tensor up = inputs.random(TOKENS, INTERMEDIATE);
  private final Tensor gated = inputs.empty(TOKENS, INTERMEDIATE);
  private final Tensor dGated = inputs.random(TOKENS, INTERMEDIATE);
  private final NDArray gateArray = inputs.array(gate);
  private final NDArray upArray = inputs.array(up);
  private final NDArray gateTrained = inputs.trained(gate);
  private final NDArray upTrained = inputs.trained(up);
  private final NDArray dGatedArray = inputs.array(dGated);

  private final Tensor logits = inputs.random(LOSS_ROWS, VOCABULARY);
  private final NDArray logitsTrained = inputs.trained(logits);
  private final int[] targets = IntStream.range(0, LOSS_ROWS).toArray();
  private final NDArray targetsArray = inputs.manager().create(targets).expandDims(1);
  private final float[] losses = new float[LOSS_ROWS];

  private final Nf4Weight nf4 =
      Nf4Weight.quantize(inputs.scope(), inputs.random(INTERMEDIATE, HIDDEN), DType.FLOAT32, true);
  private final NDArray codeBook = inputs.array(inputs.random(16));
  private final NDArray codes =
      inputs.manager().create(IntStream.range(0, INTERMEDIATE * HIDDEN).map(i -> i & 15).toArray());
  private final NDArray absmax =
      inputs.array(inputs.random(INTERMEDIATE * HIDDEN / Nf4Weight.BLOCK, 1));

  private final ParameterBuffer parameters =
      new ParameterBuffer(List.of(new ParameterBuffer.Slice("weight", new long[] {PARAMETERS}, 0)));
  private final OptimizerState state = new OptimizerState(PARAMETERS);
  private final AdamW adamW = new AdamW(0.9, 0.999, 1e-8, 0.01);
  private final NDArray values = inputs.manager().zeros(new Shape(PARAMETERS));
  private final NDArray gradients = inputs.manager().ones(values.getShape());
  private final NDArray firstMoment = inputs.manager().zeros(values.getShape());
  private final NDArray secondMoment = inputs.manager().ones(values.getShape());

  private static Shape heads(int heads) {
    return new Shape(TOKENS, heads, HEAD / 2);
  }

  @Setup
  public void angles() {
    for (float[] row : cos) {
      Arrays.fill(row, 1);
    }
  }

  @TearDown
  public void close() {
    parameters.close();
    state.close();
    inputs.close();
  }

  @Benchmark
  public Tensor rmsNorm() {
    RmsNorm.forward(y, x, norm, 0, EPS);
    return y;
  }

  @Benchmark
  public void rmsNormByLibtorch() {
    try (NDScope _ = new NDScope()) {
      normalized(xArray);
    }
  }

  @Benchmark
  public Tensor rmsNormBackward() {
    RmsNorm.backward(dx, dy, x, norm, 0, EPS);
    return dx;
  }

  /** With its forward, which autograd needs. */
  @Benchmark
  public void rmsNormBackwardByLibtorch() {
    backward(() -> normalized(xTrained).mul(dyArray).sum());
  }

  private NDArray normalized(NDArray array) {
    return array.div(array.square().mean(new int[] {1}, true).add(EPS).sqrt()).mul(normArray);
  }

  @Benchmark
  public Tensor rotary() {
    Rotary.rotate(x, HEAD, positions, new Rotary.Angles(new float[HEAD / 2], 1, cos, sin), 1);
    return x;
  }

  @Benchmark
  public void rotaryByLibtorch() {
    try (NDScope _ = new NDScope()) {
      NDList halves = xArray.reshape(TOKENS, HIDDEN / HEAD, HEAD).split(2, 2);
      NDArray a = halves.get(0);
      NDArray b = halves.get(1);
      NDArray first = a.mul(cosArray).sub(b.mul(sinArray));
      first.concat(b.mul(cosArray).add(a.mul(sinArray)), 2);
    }
  }

  @Benchmark
  public Tensor dropout() {
    Dropout.drop(y, x, new Dropout.Mask(DROPPED, 1, 0, HIDDEN));
    return y;
  }

  @Benchmark
  public void dropoutByLibtorch() {
    try (NDScope _ = new NDScope()) {
      ai.djl.nn.norm.Dropout.dropout(xArray, (float) DROPPED, true);
    }
  }

  @Benchmark
  public Tensor attention() {
    BlockedAttention.forward(
        inputs.scope(),
        BlockedAttention.Products.FLOAT32,
        attention,
        attended,
        query,
        key,
        value,
        logSumExp);
    return attended;
  }

  /** Of one sequence, as {@link #attention}. */
  @Benchmark
  public void attentionByLibtorch() {
    try (var scope = org.ftcluster.worker.tensor.Scope.persistent()) {
      byLibtorch(scope);
    }
  }

  @Benchmark
  public Tensor attentionWithBackward() {
    attention();
    BlockedAttention.backward(
        inputs.scope(),
        BlockedAttention.Products.FLOAT32,
        attention,
        dQuery,
        dKey,
        dValue,
        dAttended,
        attended,
        query,
        key,
        value,
        logSumExp);
    return dQuery;
  }

  @Benchmark
  public void attentionWithBackwardByLibtorch() {
    try (var scope = org.ftcluster.worker.tensor.Scope.persistent()) {
      Aten.attentionBackward(
          scope,
          headsFirst(dAttended),
          headsFirst(query),
          headsFirst(key),
          headsFirst(value),
          byLibtorch(scope),
          null,
          attention.scores().scale());
    }
  }

  @Benchmark
  public Tensor swiGlu() {
    GatedUnit.SWIGLU.forward(gated, gate, up);
    return gated;
  }

  @Benchmark
  public void swiGluByLibtorch() {
    try (NDScope _ = new NDScope()) {
      Activation.swish(gateArray, 1).mul(upArray);
    }
  }

  @Benchmark
  public Tensor swiGluBackward() {
    GatedUnit.SWIGLU.backward(gated, gate, up, dGated);
    return gate;
  }

  /** With its forward, which autograd needs, as ours computes it again. */
  @Benchmark
  public void swiGluBackwardByLibtorch() {
    backward(() -> Activation.swish(gateTrained, 1).mul(upTrained).mul(dGatedArray).sum());
  }

  @Benchmark
  public float[] crossEntropyWithGradient() {
    CrossEntropy.forwardBackward(logits, targets, 0, losses, 1);
    return losses;
  }

  @Benchmark
  public void crossEntropyWithGradientByLibtorch() {
    backward(() -> logitsTrained.logSoftmax(1).gather(targetsArray, 1).sum());
  }

  @Benchmark
  public long nf4Expansion() {
    try (var scope = org.ftcluster.worker.tensor.Scope.persistent()) {
      return nf4.expand(scope).elements();
    }
  }

  /** With codes of four bytes and plain scales, which libtorch has an operator for. */
  @Benchmark
  public void nf4ExpansionByLibtorch() {
    try (NDScope _ = new NDScope()) {
      codeBook.take(codes).reshape(-1, Nf4Weight.BLOCK).muli(absmax);
    }
  }

  @Benchmark
  public void adamW() {
    adamW.update(parameters, state, 1, 1e-4, 1);
  }

  @Benchmark
  public void adamWByLibtorch() {
    try (NDScope _ = new NDScope()) {
      firstMoment.muli(0.9).addi(gradients.mul(0.1));
      secondMoment.muli(0.999).addi(gradients.square().muli(0.001));
      NDArray update = firstMoment.div(secondMoment.sqrt().addi(1e-8));
      values.muli(1 - 1e-6).subi(update.muli(1e-4));
    }
  }

  private Aten.Attention byLibtorch(org.ftcluster.worker.tensor.Scope scope) {
    return Aten.attention(
        scope,
        headsFirst(query),
        headsFirst(key),
        headsFirst(value),
        null,
        attention.scores().scale());
  }

  /** [tokens, heads head size] as [1, heads, tokens, head size]. */
  private static Tensor headsFirst(Tensor x) {
    return x.strided(
        new long[] {1, HIDDEN / HEAD, SEQUENCE, HEAD}, new long[] {0, HEAD, HIDDEN, 1}, 0);
  }

  private static void backward(Supplier<NDArray> loss) {
    try (NDScope _ = new NDScope();
        GradientCollector collector = Engine.getInstance().newGradientCollector()) {
      collector.backward(loss.get());
    }
  }
}
