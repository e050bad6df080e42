package org.ftcluster.worker.parallel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.ftcluster.worker.model.Span;
import org.junit.jupiter.api.Test;

class LayerDealTest {
  @Test
  void layersAreSharedOutEvenlyLessWhatTheHeadTakes() {
    assertEquals(sizes(4, 4, 4, 4), sizes(LayerDeal.deal(16, 0, 4)));
    assertEquals(sizes(4, 4, 5, 3), sizes(LayerDeal.deal(16, 1.5, 4)));
    assertEquals(sizes(3, 1), sizes(LayerDeal.deal(4, 1.3, 2)));
    assertEquals(sizes(1, 1, 1, 1), sizes(LayerDeal.deal(4, 9, 4)));
    assertEquals(sizes(7), sizes(LayerDeal.deal(7, 3, 1)));
  }

  @Test
  void everyStageHasALayerAndEveryLayerAStage() {
    for (int layers = 1; layers < 20; layers++) {
      for (int stages = 1; stages <= layers; stages++) {
        for (double head : new double[] {0, 0.4, 2, 30}) {
          int next = 0;
          for (Span span : LayerDeal.deal(layers, head, stages)) {
            assertEquals(next, span.from());
            assertTrue(span.size() > 0);
            next = span.to();
          }
          assertEquals(layers, next);
        }
      }
    }
    assertThrows(IllegalArgumentException.class, () -> LayerDeal.deal(3, 0, 4));
  }

  private static List<Integer> sizes(Integer... sizes) {
    return List.of(sizes);
  }

  private static List<Integer> sizes(List<Span> spans) {
    return spans.stream().map(Span::size).toList();
  }
}
