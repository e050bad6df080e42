package org.ftcluster.worker.tensor.kernel;

import static org.ftcluster.worker.tensor.kernel.Autograd.assertClose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import ai.djl.ndarray.NDArray;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Each kernel's forward and backward against libtorch's operators and autograd, in float32. */
class KernelGradientsTest {
  private Autograd autograd;

  @BeforeEach
  void open() {
    autograd = new Autograd();
  }

  @AfterEach
  void close() {
    autograd.close();
  }

  @ParameterizedTest
  @CsvSource({"64, 0", "100, 0", "100, 1"})
  void rmsNorm(int width, int offset) {
    double eps = 1e-5;
    Tensor x = autograd.random(70, width);
    Tensor dy = autograd.random(70, width);
    Tensor w = autograd.random(width);
    var reference =
        autograd.run(
            in -> {
              NDArray mean = in.get(0).pow(2).mean(new int[] {1}, true).add(eps);
              return in.get(0).div(mean.sqrt()).mul(in.get(1).add(offset));
            },
            dy,
            x,
            w);

    Tensor y = autograd.zeros(70, width);
    RmsNorm.forward(y, x, w, offset, eps);
    Tensor dx = autograd.zeros(70, width);
    RmsNorm.backward(dx, dy, x, w, offset, eps);
    Tensor dw = autograd.zeros(width);
    RmsNorm.weightGradient(dw, dy, x, eps);

    assertClose("y", reference.output(), y.toFloats());
    assertClose("dx", reference.gradients()[0], dx.toFloats());
    assertClose("dw", reference.gradients()[1], dw.toFloats());
  }

  @Test
  void rowsNamedMoreThanOnceAddUp() {
    Tensor table = autograd.random(5, 600);
    Tensor dy = autograd.random(4, 600);
    Tensor gradient = autograd.copy(table);
    RowOps.scatterAdd(gradient, dy, new int[] {3, 0, 3, 3});
    for (int i = 0; i < 600; i++) {
      float[] g = dy.toFloats();
      float before = table.toFloats()[3 * 600 + i];
      float expected = before + g[i] + g[2 * 600 + i] + g[3 * 600 + i];
      assertEquals(expected, gradient.toFloats()[3 * 600 + i], 1e-6f);
    }
    assertArrayEquals(table.slice(0, 1, 3).toFloats(), gradient.slice(0, 1, 3).toFloats());
  }

  @Test
  void aBiasGradientIsTheSumOverRows() {
    Tensor dy = autograd.random(70, 300);
    Tensor bias = autograd.random(300);
    var reference =
        autograd.run(in -> in.get(0).add(in.get(1)), dy, autograd.random(70, 300), bias);
    Tensor sums = autograd.zeros(300);
    RowOps.sumRows(sums, dy);
    assertClose("db", reference.gradients()[1], sums.toFloats());
  }

  @ParameterizedTest
  @CsvSource({"SWIGLU, 96", "SWIGLU, 1500", "GEGLU, 96", "GEGLU, 1500"})
  void gatedUnits(GatedUnit unit, int width) {
    Tensor gate = autograd.random(33, width);
    Tensor up = autograd.random(33, width);
    Tensor dy = autograd.random(33, width);
    var reference = autograd.run(in -> activation(unit, in.get(0)).mul(in.get(1)), dy, gate, up);

    Tensor y = autograd.zeros(33, width);
    unit.forward(y, gate, up);
    Tensor dGate = autograd.copy(gate);
    Tensor dUp = autograd.copy(up);
    Tensor again = autograd.zeros(33, width);
    unit.backward(again, dGate, dUp, dy);

    assertClose("y", reference.output(), y.toFloats());
    assertClose("y in the backward", reference.output(), again.toFloats());
    assertClose("dgate", reference.gradients()[0], dGate.toFloats());
    assertClose("dup", reference.gradients()[1], dUp.toFloats());
  }

  /** As papers write them. */
  private static NDArray activation(GatedUnit unit, NDArray g) {
    return switch (unit) {
      case SWIGLU -> g.mul(ai.djl.nn.Activation.sigmoid(g));
      case GEGLU ->
          g.pow(3).mul(0.044715).add(g).mul(Math.sqrt(2 / Math.PI)).tanh().add(1).mul(g).mul(0.5);
    };
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.3, 2, 30})
  void caps(double cap) {
    Tensor x = autograd.random(21, 107);
    Tensor dy = autograd.random(21, 107);
    var reference = autograd.run(in -> in.get(0).div(cap).tanh().mul(cap), dy, x);

    Tensor y = autograd.copy(x);
    Elements.cap(y, (float) cap);
    Tensor dx = autograd.copy(dy);
    Elements.capBackward(dx, y, (float) cap);

    assertClose("y", reference.output(), y.toFloats());
    assertClose("dx", reference.gradients()[0], dx.toFloats());
  }

  @Test
  void crossEntropy() {
    int rows = 9;
    int vocabulary = 203;
    double scale = 0.37;
    int[] targets = {7, 0, 202, 50, 50, 1, 120, 99, 13};
    Tensor logits = autograd.random(rows, vocabulary);
    Tensor ones = autograd.zeros(rows);
    ones.memory().copyFrom(java.lang.foreign.MemorySegment.ofArray(filled(rows, (float) scale)));
    var reference =
        autograd.run(
            in -> {
              NDArray classes = in.get(0).getManager().create(targets);
              NDArray hits = classes.oneHot(vocabulary);
              return in.get(0).logSoftmax(1).mul(hits).sum(new int[] {1}).neg();
            },
            ones,
            logits);

    float[] losses = new float[rows];
    CrossEntropy.forward(logits, targets, 0, losses);
    float[] again = new float[rows];
    CrossEntropy.forwardBackward(logits, targets, 0, again, scale);

    assertClose("losses", reference.output(), losses);
    assertClose("losses with gradients", reference.output(), again);
    assertClose("dlogits", reference.gradients()[0], logits.toFloats());
  }

  private static float[] filled(int count, float value) {
    float[] values = new float[count];
    java.util.Arrays.fill(values, value);
    return values;
  }

  @Test
  void rotary() {
    int headSize = 16;
    int[] positions = {0, 1, 2, 0, 5};
    float[][] cos = new float[8][headSize / 2];
    float[][] sin = new float[8][headSize / 2];
    for (int p = 0; p < 8; p++) {
      for (int i = 0; i < headSize / 2; i++) {
        cos[p][i] = (float) Math.cos(p / (1.0 + i));
        sin[p][i] = (float) Math.sin(p / (1.0 + i));
      }
    }
    Tensor x = autograd.random(5, 3 * headSize);
    Tensor dy = autograd.random(5, 3 * headSize);
    var reference =
        autograd.run(
            in -> {
              NDArray heads = in.get(0).reshape(5, 3, 2, headSize / 2);
              NDArray a = heads.get(":,:,0");
              NDArray b = heads.get(":,:,1");
              NDArray c = table(in.get(0), cos, positions);
              NDArray s = table(in.get(0), sin, positions);
              NDArray first = a.mul(c).sub(b.mul(s));
              NDArray second = b.mul(c).add(a.mul(s));
              return first.expandDims(2).concat(second.expandDims(2), 2).reshape(5, 3 * headSize);
            },
            dy,
            x);

    Rotary.Angles angles = new Rotary.Angles(new float[headSize / 2], 1, cos, sin);
    Tensor y = autograd.copy(x);
    Rotary.rotate(y, headSize, positions, angles, 1);
    Tensor dx = autograd.copy(dy);
    Rotary.rotate(dx, headSize, positions, angles, -1);

    assertClose("y", reference.output(), y.toFloats());
    assertClose("dx", reference.gradients()[0], dx.toFloats());
  }

  private static NDArray table(NDArray like, float[][] table, int[] positions) {
    float[][] rows = new float[positions.length][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = table[positions[i]];
    }
    return like.getManager().create(rows).expandDims(1);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, 0.7})
  void attentionWithGroupedHeads(double cap) {
    int tokens = 75;
    int keyValueHeads = 2;
    int group = 3;
    int headSize = 16;
    double scale = 0.25;
    Tensor q = autograd.random(tokens, keyValueHeads * group * headSize);
    Tensor k = autograd.random(tokens, keyValueHeads * headSize);
    Tensor v = autograd.random(tokens, keyValueHeads * headSize);
    Tensor dy = autograd.random(keyValueHeads, group, tokens, headSize);
    var reference =
        autograd.run(
            in -> {
              NDArray queries =
                  in.get(0).reshape(tokens, keyValueHeads, group, headSize).transpose(1, 2, 0, 3);
              NDArray keys = heads(in.get(1), tokens, keyValueHeads, headSize);
              NDArray values = heads(in.get(2), tokens, keyValueHeads, headSize);
              NDArray scores = queries.matMul(keys.transpose(0, 1, 3, 2)).mul(scale);
              NDArray capped = cap == 0 ? scores : scores.div(cap).tanh().mul(cap);
              return capped.add(causal(in.get(0), tokens)).softmax(3).matMul(values);
            },
            dy,
            q,
            k,
            v);

    long[] shape = {keyValueHeads, group, tokens, headSize};
    long[] grouped = {headSize, 0, (long) keyValueHeads * headSize, 1};
    Tensor queries =
        q.strided(
            shape,
            new long[] {
              (long) group * headSize, headSize, (long) keyValueHeads * group * headSize, 1
            },
            0);
    Tensor keys = k.strided(shape, grouped, 0);
    Tensor values = v.strided(shape, grouped, 0);
    Scope scope = autograd.scope();
    var forward = Aten.attention(scope, queries, keys, values, null, scale);
    var gradients = Aten.attentionBackward(scope, dy, queries, keys, values, forward, null, scale);
    Tensor output = autograd.zeros(shape);
    Aten.copy(output, forward.output());
    Tensor dq = autograd.zeros(q.shape());
    Aten.copy(dq.strided(shape, new long[] {48, 16, 96, 1}, 0), gradients.query());
    Tensor dk = autograd.zeros(k.shape());
    HeadOps.sumGroups(dk, gradients.key());
    Tensor dv = autograd.zeros(v.shape());
    HeadOps.sumGroups(dv, gradients.value());

    // The same with our own kernel, from and to rows of all heads side by side.
    var settings =
        new BlockedAttention.Shape(
            tokens, keyValueHeads, group, headSize, tokens, new Scores(scale, cap));
    Tensor statistics = autograd.zeros((long) keyValueHeads * group, tokens);
    Tensor rows = autograd.zeros(q.shape());
    Tensor dRows = autograd.zeros(q.shape());
    long[] rowStrides = {48, 16, 96, 1};
    Aten.copy(dRows.strided(shape, rowStrides, 0), dy);
    Tensor dq2 = autograd.zeros(q.shape());
    Tensor dk2 = autograd.zeros(k.shape());
    Tensor dv2 = autograd.zeros(v.shape());
    BlockedAttention.forward(
        scope, BlockedAttention.Products.FLOAT32, settings, rows, q, k, v, statistics);
    BlockedAttention.backward(
        scope,
        BlockedAttention.Products.FLOAT32,
        settings,
        dq2,
        dk2,
        dv2,
        dRows,
        rows,
        q,
        k,
        v,
        statistics);
    Tensor output2 = autograd.zeros(shape);
    Aten.copy(output2, rows.strided(shape, rowStrides, 0));

    assertClose("our output", reference.output(), output2.toFloats());
    assertClose("our dq", reference.gradients()[0], dq2.toFloats());
    assertClose("our dk", reference.gradients()[1], dk2.toFloats());
    assertClose("our dv", reference.gradients()[2], dv2.toFloats());
    if (cap > 0) {
      return; // libtorch's caps nothing
    }
    assertClose("output", reference.output(), output.toFloats());
    assertClose("dq", reference.gradients()[0], dq.toFloats());
    assertClose("dk", reference.gradients()[1], dk.toFloats());
    assertClose("dv", reference.gradients()[2], dv.toFloats());
  }

  private static NDArray heads(NDArray x, int tokens, int heads, int headSize) {
    return x.reshape(tokens, heads, headSize).transpose(1, 0, 2).expandDims(1);
  }

  private static NDArray causal(NDArray like, int tokens) {
    float[][] mask = new float[tokens][tokens];
    for (int t = 0; t < tokens; t++) {
      java.util.Arrays.fill(mask[t], t + 1, tokens, Float.NEGATIVE_INFINITY);
    }
    return like.getManager().create(mask);
  }
}
