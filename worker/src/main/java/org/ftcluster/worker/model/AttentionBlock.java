package org.ftcluster.worker.model;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.ftcluster.worker.tensor.kernel.CachedAttention;
import org.ftcluster.worker.tensor.kernel.Rotary;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * The first half of a decoder layer: {@code y = x + attention(norm(x)) Woᵀ}, what is added normed
 * once more in some models.
 *
 * <p>Of the last layer's {@code y} nothing but the rows that carry a loss is needed; attention then
 * still looks at all tokens, and everything after it works on those rows only.
 */
final class AttentionBlock {
  private final ModelConfig config;
  private final RotaryTable rotary;
  private final Norm norm;
  private final Linear query;
  private final Linear key;
  private final Linear value;
  private final @Nullable HeadNorms headNorms;
  private final Linear output;
  private final OutputNorm outputNorm;
  private final SequenceAttention attention;
  private final TensorGroup slices;

  /**
   * What the backward needs; the norm's output is computed again there.
   *
   * @param projected what heads' norms were taken of; null where there are none
   * @param result what is normed before it is added to the input; null where nothing is
   */
  record Saved(
      Tensor x,
      int @Nullable [] rows,
      QueryKeyValue heads,
      HeadNorms.@Nullable Saved projected,
      Tensor attended,
      SequenceAttention.Saved attention,
      @Nullable Tensor queryBottleneck,
      @Nullable Tensor keyBottleneck,
      @Nullable Tensor valueBottleneck,
      @Nullable Tensor outputBottleneck,
      @Nullable Tensor result) {}

  AttentionBlock(
      ModelConfig config,
      RotaryTable rotary,
      Norm norm,
      Linear query,
      Linear key,
      Linear value,
      @Nullable HeadNorms headNorms,
      Linear output,
      OutputNorm outputNorm,
      TensorGroup slices) {
    this.config = config;
    this.rotary = rotary;
    this.norm = norm;
    this.query = query;
    this.key = key;
    this.value = value;
    this.headNorms = headNorms;
    this.output = output;
    this.outputNorm = outputNorm;
    this.attention = new SequenceAttention(config);
    this.slices = slices;
  }

  List<Linear> linears() {
    return List.of(query, key, value, output);
  }

  /**
   * @param saved the topmost scope, where what the backward needs is kept
   * @param y [T, D] out, or [N, D] where {@code rows} are given; of a slice its own rows of that
   * @param x [T, D], of a slice its own rows
   * @param rows of all of {@code x} that {@code y} is needed for; null for all
   */
  Saved forward(Pass pass, Scope saved, Tensor y, Tensor x, int @Nullable [] rows) {
    int tokens = pass.tokens();
    QueryKeyValue heads = QueryKeyValue.empty(saved, x.dtype(), tokens, config);
    Tensor attended = saved.empty(x.dtype(), tokens, config.querySize());
    Tensor queryBottleneck = query.newBottleneck(saved, x, tokens);
    Tensor keyBottleneck = key.newBottleneck(saved, x, tokens);
    Tensor valueBottleneck = value.newBottleneck(saved, x, tokens);
    Tensor outputBottleneck = output.newBottleneck(saved, x, rows == null ? tokens : rows.length);
    Tensor result = outputNorm.newResult(saved, y);
    Tensor sum = result == null ? y : result;

    try (Scope temporary = pass.workspace().open()) {
      Tensor normed = slices.gather(temporary, norm.forward(temporary, x));
      query.forward(pass, heads.q(), normed, queryBottleneck);
      key.forward(pass, heads.k(), normed, keyBottleneck);
      value.forward(pass, heads.v(), normed, valueBottleneck);
    }
    HeadNorms.Saved projected = headNorms == null ? null : headNorms.forward(saved, heads);
    rotate(pass, heads, 1);
    SequenceAttention.Saved kept = attention.forward(pass, saved, attended, heads);
    try (Scope temporary = pass.workspace().open()) {
      Tensor summand = slices.roomForAll(temporary, sum);
      output.forward(pass, summand, select(temporary, attended, rows), outputBottleneck);
      slices.sum(pass.workspace(), sum, summand);
      outputNorm.apply(y, result);
      RowOps.add(y, residual(temporary, x, rows));
    }
    return new Saved(
        x,
        rows,
        heads,
        projected,
        attended,
        kept,
        queryBottleneck,
        keyBottleneck,
        valueBottleneck,
        outputBottleneck,
        result);
  }

  /**
   * Adds the gradient of the block's input to {@code dx}, and leaves the gradients of what is
   * trained.
   *
   * @param dx [T, D]: {@code dy} itself where all rows were needed, since the residual's gradient
   *     is already in it; else zeros; of a slice its own rows
   * @param dy [T, D] or [N, D], gradient of the output; of a slice its own rows
   * @param wantInput whether anything from the norm down needs a gradient
   */
  void backward(Pass pass, Tensor dx, Tensor dy, Saved saved, boolean wantInput) {
    try (Scope scope = pass.workspace().open()) {
      Tensor x = saved.x();
      QueryKeyValue dHeads = QueryKeyValue.empty(scope, x.dtype(), pass.tokens(), config);
      Tensor dResult = outputNorm.backward(scope, dy, saved.result());
      Tensor dResultOfAll = slices.gather(scope, dResult);
      attentionBackward(pass, dHeads, dResultOfAll, saved);
      rotate(pass, dHeads, -1);
      if (saved.projected() != null) {
        saved.projected().backward(pass, dHeads);
      }

      Tensor dq = dHeads.q();
      Tensor dk = dHeads.k();
      Tensor dv = dHeads.v();
      Tensor normed = slices.gather(scope, norm.forward(scope, x));
      Tensor dqBottleneck = query.bottleneckGradient(pass, scope, dq);
      Tensor dkBottleneck = key.bottleneckGradient(pass, scope, dk);
      Tensor dvBottleneck = value.bottleneckGradient(pass, scope, dv);
      query.parameterGradients(pass, dq, dqBottleneck, normed, saved.queryBottleneck());
      key.parameterGradients(pass, dk, dkBottleneck, normed, saved.keyBottleneck());
      value.parameterGradients(pass, dv, dvBottleneck, normed, saved.valueBottleneck());
      if (!wantInput) {
        return;
      }
      Tensor dNormed = scope.empty(x.dtype(), normed.shape());
      query.inputGradient(pass, dNormed, dq, dqBottleneck, 0);
      key.inputGradient(pass, dNormed, dk, dkBottleneck, 1);
      value.inputGradient(pass, dNormed, dv, dvBottleneck, 1);
      Tensor dOwn = slices.roomForOwn(scope, dNormed);
      slices.sum(pass.workspace(), dOwn, dNormed);
      if (saved.rows() != null) {
        Tensor dyOfAll = dResult == dy ? dResultOfAll : slices.gather(scope, dy);
        residualBackward(scope, dx, dyOfAll, saved.rows());
      }
      norm.backward(dx, dOwn, x);
    }
  }

  /** From the gradient of the output projection's result to those of query, key and value. */
  private void attentionBackward(Pass pass, QueryKeyValue dHeads, Tensor dy, Saved saved) {
    try (Scope scope = pass.workspace().open()) {
      Tensor attended = select(scope, saved.attended(), saved.rows());
      Tensor dyBottleneck = output.bottleneckGradient(pass, scope, dy);
      output.parameterGradients(pass, dy, dyBottleneck, attended, saved.outputBottleneck());
      Tensor dAttended = scope.empty(dy.dtype(), attended.shape());
      output.inputGradient(pass, dAttended, dy, dyBottleneck, 0);
      Tensor dOfAll = dAttended;
      if (saved.rows() != null) {
        dOfAll = scope.zeros(dy.dtype(), saved.attended().shape());
        RowOps.scatterAdd(dOfAll, dAttended, saved.rows());
      }
      attention.backward(pass, dHeads, dOfAll, saved.attended(), saved.heads(), saved.attention());
    }
  }

  /**
   * {@code y = x + ...} for one new token a sequence, x and y [B, D]; its keys and values join the
   * cache.
   */
  void decode(Workspace workspace, Tensor y, Tensor x, KeyValueCache cache, int layer) {
    int[] places = cache.lengths();
    int longest = Arrays.stream(places).max().orElse(0) + 1;
    Pass pass = new Pass(workspace, places, places, longest, false, 0, true);
    try (Scope scope = workspace.open()) {
      QueryKeyValue heads = QueryKeyValue.empty(scope, x.dtype(), x.size(0), config);
      Tensor normed = norm.forward(scope, x);
      query.forward(pass, heads.q(), normed, query.newBottleneck(scope, x, x.size(0)));
      key.forward(pass, heads.k(), normed, key.newBottleneck(scope, x, x.size(0)));
      value.forward(pass, heads.v(), normed, value.newBottleneck(scope, x, x.size(0)));
      if (headNorms != null) {
        headNorms.apply(heads);
      }
      rotate(pass, heads, 1);
      cache.append(layer, heads.k(), heads.v());
      Tensor attended = scope.empty(x.dtype(), heads.q().shape());
      CachedAttention.forward(
          attended,
          heads.q(),
          cache.keys(layer),
          cache.values(layer),
          cache.places(config.slidingWindow()),
          config.headSize(),
          config.scores());
      output.forward(pass, y, attended, output.newBottleneck(scope, x, x.size(0)));
      outputNorm.apply(y, y);
      RowOps.add(y, x);
    }
  }

  /** What of the input is added to a slice's own rows of the output. */
  private Tensor residual(Scope scope, Tensor x, int @Nullable [] rows) {
    if (rows == null) {
      return x;
    }
    Span own = slices.own(rows.length);
    return select(scope, slices.gather(scope, x), Arrays.copyOfRange(rows, own.from(), own.to()));
  }

  /**
   * @param dx the own rows
   * @param dy of all {@code rows}
   */
  private void residualBackward(Scope scope, Tensor dx, Tensor dy, int[] rows) {
    if (slices.size() == 1) {
      RowOps.scatterAdd(dx, dy, rows);
      return;
    }
    Span own = slices.own(Math.toIntExact(dx.size(0) * slices.size()));
    int[] places = IntStream.range(0, rows.length).filter(i -> own.contains(rows[i])).toArray();
    int[] targets = Arrays.stream(places).map(i -> rows[i] - own.from()).toArray();
    RowOps.scatterAdd(dx, select(scope, dy, places), targets);
  }

  private static Tensor select(Scope scope, Tensor x, int @Nullable [] rows) {
    if (rows == null) {
      return x;
    }
    Tensor selected = scope.empty(x.dtype(), rows.length, x.size(1));
    RowOps.gather(selected, x, rows);
    return selected;
  }

  private void rotate(Pass pass, QueryKeyValue heads, int direction) {
    for (Tensor x : List.of(heads.q(), heads.k())) {
      Rotary.rotate(
          x, config.headSize(), pass.positions(), rotary.angles(pass.longest()), direction);
    }
  }
}
