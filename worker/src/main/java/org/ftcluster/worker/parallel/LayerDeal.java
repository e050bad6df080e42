package org.ftcluster.worker.parallel;

import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.model.Span;

/** Deals layers to the stages of a pipeline, so that the busiest of them has the least to do. */
public final class LayerDeal {
  private LayerDeal() {}

  /**
   * Neighbouring layers for each stage, at least one. The head, which the last stage has besides,
   * leaves fewer layers for that; of the others, later ones have one more, since earlier ones hold
   * more micro-batches.
   *
   * @param layers of equal cost
   * @param headCost in layers
   */
  public static List<Span> deal(int layers, double headCost, int stages) {
    if (stages < 1 || layers < stages) {
      throw new IllegalArgumentException("%d layers for %d stages".formatted(layers, stages));
    }
    int last = stages == 1 ? layers : lastStage(layers, headCost, stages);
    List<Span> spans = new ArrayList<>();
    int from = 0;
    for (int stage = 0; stage < stages - 1; stage++) {
      int to = Math.toIntExact((long) (layers - last) * (stage + 1) / (stages - 1));
      spans.add(new Span(from, to));
      from = to;
    }
    spans.add(new Span(from, layers));
    return spans;
  }

  private static int lastStage(int layers, double headCost, int stages) {
    int best = 1;
    double bestCost = Double.POSITIVE_INFINITY;
    for (int last = 1; last <= layers - (stages - 1); last++) {
      double others = Math.ceilDiv(layers - last, stages - 1);
      double cost = Math.max(others, last + headCost);
      if (cost <= bestCost) {
        best = last;
        bestCost = cost;
      }
    }
    return best;
  }
}
